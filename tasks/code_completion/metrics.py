"""Metrics of code completion."""

import keyword
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz import fuzz

from tasks.code_completion.validity import parses
from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, stats_of_scores

if TYPE_CHECKING:
    import datasets

STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
NAME = re.compile(r"[^\W\d]\w*")


def completion_metrics() -> tuple[Metric, ...]:
    """Make the metrics edit similarity, exact match and F1 of identifiers."""
    return (
        Metric("edit_similarity", edit_similarity_stats, mean_percent, unit="%"),
        Metric("exact_match", exact_match_stats, mean_percent, unit="%"),
        Metric("identifiers", identifier_stats, f1_percent, unit="%"),
    )


def parses_metric(examples: "datasets.Dataset") -> Metric:
    """Make the metric of the share of completions with which the top-level statement around them is valid Python.

    Args:
        examples: Examples with the columns head and tail.
    """
    around = list(zip(examples["head"], examples["tail"], strict=True))

    def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
        return stats_of_scores(
            float(parses(f"{head}{text}\n{tail}")) for text, (head, tail) in zip(hypotheses, around, strict=True)
        )

    return Metric("parses", sufficient_stats, mean_percent, unit="%")


def exact_match_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Compare each hypothesis with its references, up to spaces between tokens."""
    return stats_of_scores(
        float(text.split() in [reference.split() for reference in several])
        for text, several in zip(hypotheses, references, strict=True)
    )


def edit_similarity_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Compute 1 - (insertions + deletions) / both lengths, for the nearest reference, without spaces at the ends."""
    return stats_of_scores(
        max(fuzz.ratio(text.strip(), reference.strip()) for reference in several) / 100
        for text, several in zip(hypotheses, references, strict=True)
    )


def identifier_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Count the identifiers in both, in the hypothesis, and in the (first) reference, with repetitions."""
    rows = []
    for text, several in zip(hypotheses, references, strict=True):
        found, expected = identifiers(text), identifiers(several[0])
        rows.append([(found & expected).total(), found.total(), expected.total()])
    return np.array(rows, dtype=float)


def identifiers(text: str) -> Counter[str]:
    """Count the names outside strings that are not keywords."""
    return Counter(name for name in NAME.findall(STRING.sub("", text)) if not keyword.iskeyword(name))


def f1_percent(total: np.ndarray) -> float:
    """Compute F1 in % from the sums of ``identifier_stats``."""
    return float(200 * total[0] / max(1.0, total[1] + total[2]))
