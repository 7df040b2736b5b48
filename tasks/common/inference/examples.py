"""Examples of an evaluation for a person: the worst, median and best sentences, and all of them as one table."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from tasks.common.metrics.base import Metric, SentenceStats

GROUP_SIZE = 4  # examples shown of the worst, the median and the best
MAX_CHARACTERS = 240  # of a text on the terminal


def score_sentences(metrics: Sequence[Metric], stats: Sequence[SentenceStats]) -> dict[str, list[float]]:
    """Compute each metric of each sentence; those that take long for so many calls are left out."""
    return {
        metric.name: [(metric.aggregate_sentence or metric.aggregate)(row) for row in own]
        for metric, own in zip(metrics, stats, strict=True)
        if metric.fast
    }


def rank_sentences(metrics: Sequence[Metric], scores: Mapping[str, Sequence[float]]) -> list[int]:
    """Return the rows from the worst to the best by the first metric, and by the next ones where it is equal."""
    signs = {metric.name: 1 if metric.higher_is_better else -1 for metric in metrics}
    keys = [signs[name] * np.array(values) for name, values in scores.items()]
    return np.lexsort(keys[::-1]).tolist()  # the last key is the most important one


def select_examples(ranked: Sequence[int]) -> list[tuple[str, int]]:
    """Select the worst, median and best rows; all of them, as one group, if there are not more."""
    if len(ranked) <= 3 * GROUP_SIZE:
        return [("from worst to best", row) for row in ranked]
    start = (len(ranked) - GROUP_SIZE) // 2
    groups = {"worst": slice(GROUP_SIZE), "median": slice(start, start + GROUP_SIZE), "best": slice(-GROUP_SIZE, None)}
    return [(name, row) for name, part in groups.items() for row in ranked[part]]


def make_examples_csv(
    sources: Sequence[str],
    references: Sequence[Sequence[str]],
    hypotheses: Sequence[str],
    scores: Mapping[str, Sequence[float]],
) -> str:
    """Make a table with a row for each example, in comma-separated values; several references are lines of a cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["example", "source", "reference", "hypothesis", *scores])
    for row, columns in enumerate(zip(sources, map("\n".join, references), hypotheses, strict=True)):
        writer.writerow([row + 1, *columns, *(f"{values[row]:.2f}" for values in scores.values())])
    return text.getvalue()


def show_examples(examples: Sequence[Mapping[str, Any]], metric: str) -> Table:
    """Show examples side by side, with a line between the groups.

    Args:
        examples: Dictionaries with group, example (the number), score, source, reference and hypothesis.
        metric: The name of the metric that the score is of.
    """
    table = Table("", "example", metric, "source", "reference", "hypothesis", box=SIMPLE, pad_edge=False)
    for number, each in enumerate(examples):
        is_first = number == 0 or examples[number - 1]["group"] != each["group"]
        if is_first and number:
            table.add_section()
        texts = (each[name] for name in ("source", "reference", "hypothesis"))
        cells = each["group"] if is_first else "", str(each["example"]), f"{each['score']:.1f}", *texts
        table.add_row(*map(Text, cells))
    return table


def cut(text: str, side: Literal["left", "right"] = "right") -> str:
    """Make a text one line of at most MAX_CHARACTERS, cut on a side."""
    line = " ".join(text.split())
    if len(line) <= MAX_CHARACTERS:
        return line
    return f"…{line[1 - MAX_CHARACTERS :]}" if side == "left" else f"{line[: MAX_CHARACTERS - 1]}…"
