"""Scores of an evaluation by length: of the sources, or of the references where all sources are equally long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.common.metrics.base import Metric, SentenceStats
from tasks.common.task import Task

NUM_LENGTH_GROUPS = 6  # groups of about the same number of examples, from short sources to long ones


@dataclass(frozen=True)
class LengthAxis:
    """The lengths that a table by length is ordered by.

    Attributes:
        title: The quantity with its unit, as "source length (tokens)".
        lengths: The length of each example.
        step: The unit of the title that one unit of ``lengths`` is, if that is not 1: a frame's seconds.
    """

    title: str
    lengths: Sequence[int]
    step: float = 1.0

    @classmethod
    def choose(cls, task: Task, source_lengths: Sequence[int], references: Sequence[Sequence[str]]) -> "LengthAxis":
        """Choose the lengths of the sources, or where all are equal, as those of images, of the first references."""
        if len(set(source_lengths)) <= 1:
            return cls("reference length (words)", [len(given[0].split()) for given in references])
        if task.report.frame_duration_s:
            return cls("source length (seconds)", source_lengths, task.report.frame_duration_s)
        return cls(f"source length ({task.source_unit})", source_lengths)

    def describe(self, lower: int, upper: int) -> str:
        """Describe a range of lengths."""
        form = "d" if self.step == 1.0 else ".2f"
        ends = [format(end if self.step == 1.0 else end * self.step, form) for end in (lower, upper)]
        return "-".join(dict.fromkeys(ends))


def score_by_length(metric: Metric, stats: SentenceStats, axis: LengthAxis) -> list[dict[str, Any]]:
    """Score groups of examples of similar length, from short to long."""
    lengths = axis.lengths
    quantiles = np.quantile(lengths, np.linspace(0, 1, NUM_LENGTH_GROUPS + 1)[1:])
    uppers = np.unique(quantiles.round().astype(int)).tolist()
    lowers = [min(lengths), *(upper + 1 for upper in uppers[:-1])]
    groups = []
    for lower, upper in zip(lowers, uppers, strict=True):
        rows = [row for row, length in enumerate(lengths) if lower <= length <= upper]
        if rows:
            score = metric.aggregate(stats[rows].sum(axis=0))
            groups.append({"length": axis.describe(lower, upper), "examples": len(rows), "score": score})
    return groups
