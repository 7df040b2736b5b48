"""The form of all metrics: sentence statistics whose sum gives the metric of a corpus.

So the metric of a corpus, of sentences of some length, its confidence interval and a paired test are computed from the
same few numbers, summed over different sentences.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SentenceStats = np.ndarray  # (examples, statistics)


@dataclass(frozen=True)
class SelectionMetric:
    """The number on the validation split that selects the checkpoint."""

    name: str
    higher_is_better: bool

    def to_points(self, score: float) -> float:
        """Return a score in %, with 100 for the best: 100 less an error rate, and nothing below 0 or above 100."""
        points = min(100.0, max(0.0, score))
        return points if self.higher_is_better else 100.0 - points


@dataclass(frozen=True)
class Metric:
    """A metric on strings.

    Attributes:
        name: Its name in tables.
        sufficient_stats: Computes the statistics of each example from hypotheses and references.
        aggregate: Computes the metric from a sum of statistics.
        higher_is_better: Whether a higher value is better.
        signature: Returns the signature to quote with the value, given the references it was computed on.
        fast: Whether training computes it at each evaluation; otherwise only the command evaluate does.
        aggregate_sentence: Computes the metric from the statistics of one sentence, if not as from a sum.
        unit: "%" or empty, for a metric that is a number of points.
        start: Starts a program that it needs, which gets ready while other metrics are computed.
    """

    name: str
    sufficient_stats: Callable[[Sequence[str], Sequence[Sequence[str]]], SentenceStats]
    aggregate: Callable[[np.ndarray], float]
    higher_is_better: bool = True
    signature: Callable[[Sequence[Sequence[str]]], str] = lambda references: ""
    fast: bool = True
    aggregate_sentence: Callable[[np.ndarray], float] | None = None
    unit: str = ""
    start: Callable[[], Any] = lambda: None

    def __call__(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """Compute the metric of a corpus; ``references[i]`` are all references for ``hypotheses[i]``."""
        return self.aggregate(self.sufficient_stats(hypotheses, references).sum(axis=0))

    @property
    def label(self) -> str:
        """The name with the unit, for an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def selection_metric(self) -> SelectionMetric:
        return SelectionMetric(self.name, self.higher_is_better)


def compute_stats(
    metrics: Sequence[Metric], hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> Iterator[tuple[Metric, SentenceStats]]:
    """Compute the statistics of each example, once for all metrics with the same function of them, as BLEU-1 to 4."""
    computed: dict[Callable, SentenceStats] = {}
    for metric in metrics:
        if metric.sufficient_stats not in computed:
            computed[metric.sufficient_stats] = metric.sufficient_stats(hypotheses, references)
        yield metric, computed[metric.sufficient_stats]


def stats_of_scores(scores: Iterable[float]) -> SentenceStats:
    """Make the statistics of a metric that is the mean of sentence scores from 0 to 1; see ``mean_percent``."""
    return np.array([[score, 1.0] for score in scores])


def mean_percent(total: np.ndarray) -> float:
    """Compute the mean in % from the sum of scores and their number."""
    return float(100 * total[0] / total[1])


def ratio_percent(total: np.ndarray) -> float:
    """Compute the ratio of two sums in %; 0 where the second one is 0."""
    return float(100 * total[0] / total[1]) if total[1] else 0.0


def name_model(place: str) -> str:
    """Return the name of a scoring model for a signature: its folder's own, without the path, or its id on the hub."""
    return Path(place).resolve().name if Path(place).is_dir() else place
