"""Poetry: lines of verse in, the next line or the rest of the poem out."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from decoders.base import Constraint
from decoders.config import SearchConfig
from tasks.common.errors import UsageError
from tasks.common.metrics.base import Metric, SelectionMetric
from tasks.common.metrics.diversity import distinct_n
from tasks.common.text_task import TextReport, TextTask
from tasks.poetry.config import PoetryConfig, PoetrySearchConfig
from tasks.poetry.data import load_verse
from tasks.poetry.metrics import form_metric, rhyme_metric, tones_metric
from tasks.poetry.verse import LINE_SEPARATOR, num_characters, split_lines
from tasks.poetry.verse_constraint import VerseConstraint, VerseFeatures

if TYPE_CHECKING:
    import datasets


class PoetryReport(TextReport):
    """Add the diversity of the lines to the report, and the share of lines copied from the training data.

    Args:
        load_train: Loads the training examples.
    """

    def __init__(self, load_train: Callable[[], "datasets.Dataset"]):
        self.load_train = load_train

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        report = {"distinct-1": distinct_n(hypotheses, 1), "distinct-2": distinct_n(hypotheses, 2)}
        try:
            train = self.load_train()
        except UsageError:  # the training data no longer exists
            return report
        known = {line for text in chain(train["source"], train["target"]) for line in text.split(LINE_SEPARATOR)}
        lines = [line for text in hypotheses for line in text.split(LINE_SEPARATOR)]
        return report | {"copied lines": 100 * sum(line in known for line in lines) / len(lines)}


class Poetry(TextTask[PoetryConfig]):
    """Continue idioms, poems of tables, or poems of the chinese-poetry collection.

    The validation loss selects the checkpoint, since good verse may share no n-gram with the reference.
    """

    builtin_data = "Chinese idioms"

    def __init__(self, config: PoetryConfig):
        super().__init__(config)
        self.metrics = (form_metric(), tones_metric())
        self.report = PoetryReport(partial(self.load, "train"))
        self.constrain = self.constrain_form

    @property
    def selection_metric(self) -> SelectionMetric:
        return SelectionMetric("nll", higher_is_better=False)

    def metrics_for(self, examples: "datasets.Dataset") -> tuple[Metric, ...]:
        return (*self.metrics, rhyme_metric([self.given_lines(source) for source in examples["source"]]))

    def load(self, split: str) -> "datasets.Dataset":
        return load_verse(self.config.data, split, self.config.prompt_kind, self.config.skip_invalid)

    def parse_source(self, text: str) -> str:
        return text.strip() if self.config.prompt_kind == "title" else LINE_SEPARATOR.join(split_lines(text))

    def given_lines(self, source: str) -> list[str]:
        """Return the lines of the poem that a source contains."""
        return [] if self.config.prompt_kind == "title" else source.split(LINE_SEPARATOR)

    def constrain_form(self, sources: Sequence[Any], search: SearchConfig, device: torch.device) -> Constraint | None:
        """Build the constraint that keeps the verse form of ``search``.

        Lines become as long as the first given line, or ``line_length`` characters.

        Raises:
            UsageError: the vocabulary has no Chinese characters.
        """
        if not isinstance(search, PoetrySearchConfig) or search.form == "free":
            return None
        given = [self.given_lines(source) for source in sources]
        lengths = [(num_characters(lines[0]) if lines else 0) or self.config.line_length for lines in given]
        is_whole_poem = self.config.prompt_kind != "lines"
        line_lengths = [
            [length] * (max(1, self.config.stanza_lines - len(lines)) if is_whole_poem else 1)
            for length, lines in zip(lengths, given, strict=True)
        ]
        if self.tokenizer.is_byte_level or not self.verse_features.num_characters.any():
            raise UsageError(
                f"search.form is {search.form}, and the vocabulary of this run has no Chinese characters: "
                "allowed is free"
            )
        return VerseConstraint(self.verse_features.to(device), given, line_lengths, rhymed=search.form == "rhyme")

    @cached_property
    def verse_features(self) -> VerseFeatures:
        """The features of the target vocabulary; cached, since thousands of pronunciations are looked up."""
        return VerseFeatures.from_tokenizer(self.tokenizer)
