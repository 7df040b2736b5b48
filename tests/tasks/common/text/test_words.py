"""Words in any script, ROUGE, novelty and diversity."""

import pytest
from rouge_score.rouge_scorer import RougeScorer

from tasks.common.metrics.diversity import distinct_n, length_ratio_metric, novelty_metrics
from tasks.common.metrics.rouge import ROUGES, rouge_metrics
from tasks.common.text.words import first_words, split_words

ENGLISH = "The quick brown foxes were jumping over the lazy dogs' 3rd fence, and nobody_knew why."
OTHER = "A quick fox jumped over the lazily sleeping dog, nobody knows why!"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Don't panic, it's 3.5!", ["don", "t", "panic", "it", "s", "3", "5"]),
        ("Größere snake_case ÉTÉ", ["größere", "snake", "case", "été"]),
        ("你好world，再见", ["你", "好", "world", "再", "见"]),
        ("ดี ok", ["ดี", "ok"]),
        ("की कि नमस्ते", ["की", "कि", "नमस्ते"]),
        ("كِتاب", ["كِتاب"]),
        ("ﬁne １２", ["fine", "12"]),
        ("…!?", []),
    ],
)
def test_words_are_found_in_every_script(text, expected):
    assert split_words(text) == expected


def test_rouge_on_english_is_that_of_rouge_score_with_its_own_tokenizer():
    theirs = RougeScorer(list(ROUGES), use_stemmer=True).score(ENGLISH, OTHER)
    for metric in rouge_metrics():
        assert metric([OTHER], [[ENGLISH]]) == pytest.approx(100 * theirs[metric.name].fmeasure)
        assert metric.signature([[ENGLISH]]).startswith("rouge-score:")


def test_rouge_counts_characters_of_chinese_and_the_best_of_several_references():
    rouge = {metric.name: metric for metric in rouge_metrics()}
    assert rouge["rouge1"](["今天下雨"], [["今天天晴"]]) == pytest.approx(50.0)
    assert rouge["rougeL"](["今天下雨"], [["今天天晴", "今天下雨"]]) == 100.0
    assert rouge["rouge2"]([""], [["今天"]]) == 0.0


def test_novel_n_grams_are_those_that_the_source_lacks():
    one, two, three = novelty_metrics(["the cat sat on the mat", "a dog"])
    written, references = ["the mat sat", "a dog"], [["x"], ["y"]]
    assert one(written, references) == 0.0
    assert two(written, references) == pytest.approx(100 / 3)  # "mat sat" of "the mat", "mat sat", "a dog"
    assert three(written, references) == 100.0


def test_the_length_ratio_is_of_the_sums_of_words():
    assert length_ratio_metric()(["one two three", ""], [["one"], ["one two"]]) == 100.0


def test_distinct_n_grams_are_counted_over_all_that_was_written():
    alike = ["i do not know"] * 4
    assert distinct_n(alike, 1) == 25.0 and distinct_n(alike, 2) == 100 * 3 / 16
    assert distinct_n(["a b", "c d"], 2) == 50.0
    assert distinct_n(["", "a"], 2) == 0.0


@pytest.mark.parametrize(
    "text, count, expected",
    [("A cat, a dog.", 3, "A cat, a"), ("今天下雨", 2, "今天"), ("one", 5, "one"), ("one", 0, "")],
)
def test_the_first_words_are_cut_where_a_word_ends(text, count, expected):
    assert first_words(text, count) == expected
