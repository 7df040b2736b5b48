"""Error rates after Whisper's normalization: of English, and of other languages; the signature names it."""

from functools import partial
from importlib.metadata import version

import numpy as np
import pytest

from tasks.common.metrics.base import Metric
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.metrics.whisper_normalization import has_error_rates, normalized_error_rates
from tasks.common.text.normalization import normalize_text

METRICS = word_error_metrics(partial(normalize_text, kind="no_punctuation"), "no_punctuation")


def rates(kind: str, hypothesis: str, reference: str) -> dict[str, float]:
    metrics = METRICS if kind == "none" else normalized_error_rates(METRICS, kind)  # type: ignore[arg-type]
    return {metric.name: metric([hypothesis], [[reference]]) for metric in metrics}


@pytest.mark.parametrize(
    ("kind", "hypothesis", "reference", "wer"),
    [
        ("none", "the colour costs twenty five dollars", "The color costs $25", 100.0),
        ("whisper", "the colour costs twenty five dollars", "The color costs $25", 0.0),
        ("whisper", "um she can't come", "she can not come", 0.0),
        ("whisper_basic", "um she can't come", "she can not come", 50.0),
        ("whisper_basic", "Größe [Lachen] über alles!", "größe, über alles", 0.0),
    ],
)
def test_errors_are_counted_after_the_normalization(kind: str, hypothesis: str, reference: str, wer: float):
    assert rates(kind, hypothesis, reference)["wer"] == pytest.approx(wer)


def test_all_rates_of_a_task_are_replaced_and_other_metrics_stay():
    other = Metric("other", lambda hypotheses, references: np.ones((1, 1)), lambda total: 1.0)
    metrics = normalized_error_rates((*METRICS, other), "whisper")
    assert [metric.name for metric in metrics] == [*(metric.name for metric in METRICS), "other"]
    assert metrics[-1] is other
    assert all(metric(["colour"], [["color"]]) == 0 for metric in metrics[:-1])
    assert has_error_rates(METRICS) and not has_error_rates([other])


@pytest.mark.parametrize("kind", ["whisper", "whisper_basic"])
def test_the_signature_names_the_normalization_of_the_task_and_this_one(kind):
    signature = normalized_error_rates(METRICS, kind)[0].signature([["a"]])
    package = f"whisper_normalizer:{version('whisper_normalizer')}"
    assert signature == f"jiwer:{version('jiwer')}|text:no_punctuation+{kind}|{package}"
