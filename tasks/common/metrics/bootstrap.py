"""Confidence intervals and paired significance tests by bootstrap resampling (Koehn 2004)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tasks.common.metrics.base import Metric, SentenceStats


@dataclass(frozen=True)
class Bootstrap:
    """Resampled test sets: ``num_samples`` sets of ``num_examples`` sentences, sampled with replacement.

    Two systems are compared on the same samples, so the difficulty of the sampled sentences cancels out.
    """

    num_examples: int
    num_samples: int = 1000
    seed: int = 12345

    @cached_property
    def counts(self) -> np.ndarray:
        """The number of times that each sample contains each example: (samples, examples)."""
        generator = np.random.default_rng(self.seed)
        samples = generator.integers(self.num_examples, size=(self.num_samples, self.num_examples))
        return np.stack([np.bincount(sample, minlength=self.num_examples) for sample in samples])

    def metric_values(self, metric: Metric, stats: SentenceStats) -> np.ndarray:
        """Compute the metric of each sample."""
        return np.array([metric.aggregate(total) for total in self.counts @ stats])

    def interval(self, metric: Metric, stats: SentenceStats) -> tuple[float, float]:
        """Compute the 95 % confidence interval."""
        low, high = np.percentile(self.metric_values(metric, stats), [2.5, 97.5])
        return float(low), float(high)

    def compare(self, metric: Metric, system: SentenceStats, baseline: SentenceStats) -> dict[str, Any]:
        """Compare a system with a baseline.

        Returns:
            The difference (system minus baseline), its 95 % interval, and p of the two-sided test that there is no
            difference: the share of samples in which the difference, shifted to a mean of zero, is at least as large
            as the measured one, in either direction (Riezler & Maxwell 2005). sacreBLEU reports about half of it: it
            subtracts the mean of the absolute differences, so it counts one direction.
        """
        differences = self.metric_values(metric, system) - self.metric_values(metric, baseline)
        measured = metric.aggregate(system.sum(axis=0)) - metric.aggregate(baseline.sum(axis=0))
        low, high = np.percentile(differences, [2.5, 97.5])
        exceeding = np.abs(differences - differences.mean()) >= abs(measured)
        p = (exceeding.sum() + 1) / (self.num_samples + 1)
        return {"difference": measured, "interval": [float(low), float(high)], "p": float(p)}
