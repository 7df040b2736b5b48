"""The best evaluation: by the likelihood until the output fits its sources better than others, then by the metric."""

import pytest

from tasks.common.metrics.base import Metric, SelectionMetric
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.metrics.translation import translation_metrics
from tasks.common.training import selection
from tasks.common.training.selection import rank_evaluation


def is_above_chance(metric: Metric, hypotheses: list[str], references: list[list[str]]) -> bool:
    return selection.is_above_chance(metric, metric.sufficient_stats(hypotheses, references), hypotheses, references)


BLEU, WER = translation_metrics("en")[0], word_error_metrics(str, "none")[0]
NAMES = ["ann", "ben", "cid", "dan", "eve", "fay", "gus", "hal", "ida", "jon", "kim", "leo"]
SENTENCES = [f"a {name} and a {other} are here" for name, other in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True)]
REFERENCES = [[sentence] for sentence in SENTENCES]


@pytest.mark.parametrize("metric", [BLEU, WER], ids=["bleu", "wer"])
def test_output_is_above_chance_if_it_fits_its_sources(metric):
    half_right = [text.replace(NAMES[row], "x") for row, text in enumerate(SENTENCES)]
    assert is_above_chance(metric, SENTENCES, REFERENCES)
    assert is_above_chance(metric, half_right, REFERENCES)


@pytest.mark.parametrize("metric", [BLEU, WER], ids=["bleu", "wer"])
@pytest.mark.parametrize(
    "hypotheses",
    [
        [""] * 12,
        [SENTENCES[0]] * 12,
        ["zzz"] * 11 + ["a leo"],
        [*SENTENCES[5:], *SENTENCES[:5]],
    ],
    ids=["empty", "constant", "one word by chance", "of other sources"],
)
def test_output_that_says_nothing_about_its_sources_is_not_above_chance(metric, hypotheses):
    assert not is_above_chance(metric, hypotheses, REFERENCES)


def test_a_single_example_says_nothing_about_chance():
    assert not is_above_chance(BLEU, SENTENCES[:1], REFERENCES[:1])


@pytest.mark.parametrize("name, better, worse", [("bleu", 30.0, 20.0), ("wer", 20.0, 30.0), ("wer", 96.0, 120.0)])
def test_evaluations_above_chance_are_ordered_by_the_metric_and_are_better_than_all_others(name, better, worse):
    metric = SelectionMetric(name, higher_is_better=name == "bleu")
    first, second = (
        rank_evaluation({name: better, "nll": 5.0}, metric, True),
        rank_evaluation({name: worse, "nll": 4.0}, metric, True),
    )
    noise = rank_evaluation({name: better, "nll": 0.1}, metric, False)
    assert first > second > noise


def test_evaluations_that_are_not_above_chance_are_ordered_by_the_likelihood():
    metric = SelectionMetric("bleu", higher_is_better=True)
    lucky, likelier = {"bleu": 0.2, "nll": 7.45}, {"bleu": 0.0, "nll": 6.81}
    assert rank_evaluation(likelier, metric, False) > rank_evaluation(lucky, metric, False)
