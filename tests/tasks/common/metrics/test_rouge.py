"""ROUGE: the numbers of rouge-score on English, and words of any script."""

import pytest
from rouge_score.rouge_scorer import RougeScorer

from tasks.common.metrics.rouge import ROUGES, rouge_metrics

ENGLISH = "The quick brown foxes were jumping over the lazy dogs' 3rd fence, and nobody_knew why."
OTHER = "A quick fox jumped over the lazily sleeping dog, nobody knows why!"


def test_rouge_on_english_equals_that_of_rouge_score_with_its_own_tokenizer():
    theirs = RougeScorer(list(ROUGES), use_stemmer=True).score(ENGLISH, OTHER)
    for metric in rouge_metrics():
        assert metric([OTHER], [[ENGLISH]]) == pytest.approx(100 * theirs[metric.name].fmeasure)
        assert metric.signature([[ENGLISH]]).startswith("rouge-score:")


def test_rouge_counts_chinese_characters_and_the_best_of_several_references():
    rouge = {metric.name: metric for metric in rouge_metrics()}
    assert rouge["rouge1"](["今天下雨"], [["今天天晴"]]) == pytest.approx(50.0)
    assert rouge["rougeL"](["今天下雨"], [["今天天晴", "今天下雨"]]) == 100.0
    assert rouge["rouge2"]([""], [["今天"]]) == 0.0
