"""Poetry: lines of verse in, the next line or the rest of the poem out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import datasets
import numpy as np
import torch

from decoders.base import Constraint
from tasks.common.errors import UsageError
from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, ratio_percent, stats_of_scores
from tasks.common.metrics.diversity import distinct_n
from tasks.common.text_task import TextTask, TextTaskConfig
from tasks.poetry.data import Given, load_verse
from tasks.poetry.verse import LINE, alternates, lines_of, rhyme, size
from tasks.poetry.verse_constraint import VerseConstraint, VerseFeatures

ALTERNATING = 4  # characters from which on a line's tones can


@dataclass(frozen=True, kw_only=True)
class PoetryConfig(TextTaskConfig):
    given: Given = "lines"
    """The lines so far, for the next one; the first line, or the title, for all the others."""
    stanza: int = 4
    """Lines of a whole poem, where --form is kept."""
    metre: int = 5
    """Characters of a line, where --form is kept and what is given does not tell."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("stanza", "metre"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed is 1 or more")


class Poetry(TextTask[PoetryConfig]):
    open_ended = True

    def __init__(self, config: PoetryConfig):
        super().__init__(config)
        self.metrics = (Metric("form", form_statistics, mean_percent), Metric("tones", tone_statistics, ratio_percent))

    def metrics_for(self, examples: datasets.Dataset) -> tuple[Metric, ...]:
        given = [self.lines_given(source) for source in examples["source"]]

        def rhyme_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            return np.array([rhymes(*pair) for pair in zip(given, hypotheses, strict=True)], dtype=float)

        return (*self.metrics, Metric("rhyme", rhyme_statistics, ratio_percent))

    def load(self, split: str) -> datasets.Dataset:
        return load_verse(self.config.data, split, self.config.given, self.config.skip_invalid)

    def parse_source(self, text: str) -> str:
        return text.strip() if self.config.given == "title" else LINE.join(lines_of(text))

    def lines_given(self, source: str) -> list[str]:
        """The lines of a poem that are there before anything is written."""
        return [] if self.config.given == "title" else source.split(LINE)

    def constraint(self, sources: Sequence[Any], form: str, device: torch.device) -> Constraint | None:
        if form == "free":
            return None
        given = [self.lines_given(source) for source in sources]
        metres = [(size(lines[0]) if lines else 0) or self.config.metre for lines in given]
        lengths = [
            [metre] * (1 if self.config.given == "lines" else max(1, self.config.stanza - len(lines)))
            for metre, lines in zip(metres, given, strict=True)
        ]
        if self.tokenizer.is_byte_level or not self.signs.sizes.any():
            raise UsageError(f"--form {form}: this run's vocabulary has no Chinese characters; set --form free")
        return VerseConstraint(self.signs.to(device), given, lengths, rhymed=form == "rhyme")

    @cached_property
    def signs(self) -> VerseFeatures:
        """Made once: thousands of characters are looked up in a dictionary of sounds."""
        return VerseFeatures.of(self.tokenizer)

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        """``copied lines``: in %, if the training data are still there."""
        found = {"distinct-1": distinct_n(hypotheses, 1), "distinct-2": distinct_n(hypotheses, 2)}
        try:
            train = self.load("train")
        except UsageError:
            return found
        known = {line for text in chain(train["source"], train["target"]) for line in text.split(LINE)}
        written = [line for text in hypotheses for line in text.split(LINE)]
        return found | {"copied lines": 100 * sum(line in known for line in written) / len(written)}


def form_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Whether as many lines are written as in the reference, of as many characters each."""

    def shape(text: str) -> list[int]:
        return [size(line) or len(line.split()) for line in text.split(LINE)]

    return stats_of_scores(float(shape(text) == shape(given[0])) for text, given in zip(hypotheses, references, strict=True))


def tone_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Lines whose tones alternate, and lines that are long enough to."""
    lines = [[line for line in text.split(LINE) if size(line) >= ALTERNATING] for text in hypotheses]
    return np.array([[sum(map(alternates, inside)), len(inside)] for inside in lines], dtype=float)


def rhymes(given: Sequence[str], written: str) -> tuple[int, int]:
    """How many of the even lines that were written rhyme with the poem's second one, and how many should."""
    lines = [*given, *written.split(LINE)]
    even = [line for place, line in enumerate(lines) if place % 2 and place > 1 and place >= len(given)]
    asked = rhyme(lines[1][-1]) if len(lines) > 1 and lines[1] else None
    if asked is None:
        return 0, 0
    last = lines[1][-1]  # again it is no rhyme
    return sum(bool(line) and line[-1] != last and rhyme(line[-1]) == asked for line in even), len(even)
