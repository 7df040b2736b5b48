"""Novel and distinct n-grams, the length ratio, and the diversity of captions."""

import pytest

from tasks.common.errors import UsageError
from tasks.common.metrics.diversity import caption_diversity, distinct_n, length_ratio_metric, novelty_metrics


def test_novel_ngrams_are_those_that_do_not_occur_in_the_source():
    one, two, three = novelty_metrics(["the cat sat on the mat", "a dog"])
    hypotheses, references = ["the mat sat", "a dog"], [["x"], ["y"]]
    assert one(hypotheses, references) == 0.0
    assert two(hypotheses, references) == pytest.approx(100 / 3)  # "mat sat" of "the mat", "mat sat", "a dog"
    assert three(hypotheses, references) == 100.0


def test_the_length_ratio_is_that_of_the_sums_of_words():
    assert length_ratio_metric()(["one two three", ""], [["one"], ["one two"]]) == 100.0


def test_distinct_ngrams_are_counted_over_all_texts():
    alike = ["i do not know"] * 4
    assert distinct_n(alike, 1) == 25.0 and distinct_n(alike, 2) == 100 * 3 / 16
    assert distinct_n(["a b", "c d"], 2) == 50.0
    assert distinct_n(["", "a"], 2) == 0.0


def test_captions_are_compared_without_case_and_punctuation():
    captions = ["A red dog.", "a red dog", "Two cats!", "two dogs"]
    expected = {"vocabulary used": 6.0, "distinct captions": 75.0}
    assert caption_diversity(captions, lambda: [["a red dog", "x"], ["Two cats"]]) == expected | {
        "novel captions": 25.0
    }

    def missing_data():
        raise UsageError("the training data was moved")

    assert caption_diversity(captions, missing_data) == expected
