"""Sentences are ranked by their own scores, and a person sees the worst, the median and the best of them."""

import csv
import io

import pytest
from rich.console import Console

from tasks.common.inference.examples import (
    cut,
    make_examples_csv,
    rank_sentences,
    score_sentences,
    select_examples,
    show_examples,
)
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.metrics.translation import translation_metrics

HYPOTHESES = ["a red two", "a red two", "x", "a blue [bold] two"]
REFERENCES = [["a red two"], ["a red three", "two red"], ["a red two"], ["a blue two"]]


def test_a_short_sentence_that_is_right_has_a_bleu_of_100():
    bleu, *_ = metrics = translation_metrics("en")[:1]
    stats = [bleu.sufficient_stats(HYPOTHESES, REFERENCES)]
    assert score_sentences(metrics, stats)["bleu"][0] == pytest.approx(100)
    assert bleu.aggregate(stats[0][0]) == 0  # as that of a corpus it has no 4-gram


@pytest.mark.parametrize("metrics", [translation_metrics("en"), word_error_metrics(str, "none")])
def test_the_worst_sentence_is_first_also_where_a_lower_value_is_better(metrics):
    scores = score_sentences(metrics, [metric.sufficient_stats(HYPOTHESES, REFERENCES) for metric in metrics])
    ranked = rank_sentences(metrics, scores)
    assert ranked[0] == 2 and ranked[-1] == 0


def test_a_further_metric_decides_where_the_first_is_equal():
    first, second = translation_metrics("en")[0], translation_metrics("en")[2]
    scores = {first.name: [50.0, 50.0, 0.0], second.name: [20.0, 10.0, 90.0]}
    assert rank_sentences([first, second], scores) == [2, 1, 0]


def test_a_dozen_examples_are_selected_from_three_places_and_all_of_a_few():
    selected = select_examples(range(100))
    assert [row for _, row in selected] == [0, 1, 2, 3, 48, 49, 50, 51, 96, 97, 98, 99]
    assert [group for group, _ in selected] == ["worst"] * 4 + ["median"] * 4 + ["best"] * 4
    assert [row for _, row in select_examples([2, 0, 1])] == [2, 0, 1]


def test_the_table_of_all_examples_has_their_texts_unchanged():
    sources = ['a, "quoted"\ttext', "zwei\nZeilen", "", "四"]
    scores = {"bleu": [1.0, 2.0, 3.0, 4.0]}
    rows = list(csv.DictReader(io.StringIO(make_examples_csv(sources, REFERENCES, HYPOTHESES, scores))))
    assert [row["source"] for row in rows] == sources
    assert rows[1]["reference"] == "a red three\ntwo red"
    assert [(row["example"], row["hypothesis"], row["bleu"]) for row in rows][3] == ("4", HYPOTHESES[3], "4.00")


def test_examples_are_side_by_side_and_brackets_are_text():
    texts = {"source": "ein [roter] Test", "reference": "a test", "hypothesis": "a [bold] test"}
    examples = [{"group": "worst", "example": 7, "score": 12.34, **texts}]
    console = Console(file=io.StringIO(), width=120)
    console.print(show_examples(examples, "bleu"))
    (line,) = (line for line in console.file.getvalue().splitlines() if "worst" in line)  # type: ignore[attr-defined]
    assert line.split()[:3] == ["worst", "7", "12.3"] and all(text in line for text in texts.values())


def test_long_texts_are_cut_where_they_matter_less():
    text = "begin " + "word " * 100 + "end"
    assert cut(text).startswith("begin") and cut(text).endswith("…")
    assert cut(text, "left").startswith("…") and cut(text, "left").endswith("end")
    assert cut("two\n lines") == "two lines"
