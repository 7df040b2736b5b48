"""Metrics of verse: form, tones and rhyme."""

from collections.abc import Sequence

import numpy as np

from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, ratio_percent, stats_of_scores
from tasks.poetry.verse import LINE_SEPARATOR, num_characters, rhyme_class, tones_alternate

MIN_TONAL_LENGTH = 4  # characters; tones cannot alternate in shorter lines


def form_metric() -> Metric:
    """Make the metric of the share of texts with the reference's number of lines and length of each line."""
    return Metric("form", form_stats, mean_percent, unit="%")


def tones_metric() -> Metric:
    """Make the metric of the share of lines whose tones alternate, among those long enough."""
    return Metric("tones", tone_stats, ratio_percent, unit="%")


def rhyme_metric(given_lines: Sequence[Sequence[str]]) -> Metric:
    """Make the metric of the share of even lines that rhyme with the second.

    Args:
        given_lines: The lines before each hypothesis.
    """

    def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
        return np.array([count_rhymes(*pair) for pair in zip(given_lines, hypotheses, strict=True)], dtype=float)

    return Metric("rhyme", sufficient_stats, ratio_percent, unit="%")


def form_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Compare the length of each line, in characters or, without Chinese characters, in words."""

    def line_lengths(text: str) -> list[int]:
        return [num_characters(line) or len(line.split()) for line in text.split(LINE_SEPARATOR)]

    return stats_of_scores(
        float(line_lengths(text) == line_lengths(several[0]))
        for text, several in zip(hypotheses, references, strict=True)
    )


def tone_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Count the lines whose tones alternate, and the lines long enough for it."""
    lines = [
        [line for line in text.split(LINE_SEPARATOR) if num_characters(line) >= MIN_TONAL_LENGTH] for text in hypotheses
    ]
    return np.array([[sum(map(tones_alternate, inside)), len(inside)] for inside in lines], dtype=float)


def count_rhymes(given_lines: Sequence[str], hypothesis: str) -> tuple[int, int]:
    """Count the even lines of a hypothesis that rhyme with the poem's second line, and those that should."""
    lines = [*given_lines, *hypothesis.split(LINE_SEPARATOR)]
    even = [line for index, line in enumerate(lines) if index % 2 and index > 1 and index >= len(given_lines)]
    rhyme = rhyme_class(lines[1][-1]) if len(lines) > 1 and lines[1] else None
    if rhyme is None:
        return 0, 0
    end = lines[1][-1]  # repeating this character does not count as a rhyme
    return sum(bool(line) and line[-1] != end and rhyme_class(line[-1]) == rhyme for line in even), len(even)
