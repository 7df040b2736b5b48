"""Dialogue: the last turns of a conversation in, a reply out."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sacrebleu.metrics.bleu import BLEU

from tasks.common.data.inputs import BuiltinInput
from tasks.common.metrics.base import SelectionMetric
from tasks.common.metrics.diversity import distinct_n, length_ratio_metric
from tasks.common.metrics.translation import sacrebleu_metric
from tasks.common.text.words import split_words
from tasks.common.text_task import TextReport, TextTask
from tasks.dialogue.config import UNSPACED_LANGUAGES, DialogueConfig
from tasks.dialogue.data import TURN_SEPARATOR, load_exchanges

if TYPE_CHECKING:
    import datasets


class DialogueReport(TextReport):
    """Add the diversity of replies to the report."""

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        return {
            "distinct-1": distinct_n(hypotheses, 1),
            "distinct-2": distinct_n(hypotheses, 2),
            "distinct replies": 100 * len(set(hypotheses)) / len(hypotheses),
            "words per reply": sum(len(split_words(text)) for text in hypotheses) / len(hypotheses),
        }


class Dialogue(TextTask[DialogueConfig]):
    """Reply in the conversations of chatterbot-corpus, of tables, or of DailyDialog and Cornell Movie-Dialogs.

    The end of a context matters most, so long contexts are truncated on the left. The validation loss selects the
    checkpoint, since a good reply may share no n-gram with the references.
    """

    builtin_data = "chatterbot-corpus"
    truncation_side = "left"
    one_input_per_file = True
    report = DialogueReport()

    def __init__(self, config: DialogueConfig):
        super().__init__(config)
        tokenizer = "char" if config.language in UNSPACED_LANGUAGES else "13a"
        self.metrics = (sacrebleu_metric("bleu", BLEU(tokenize=tokenizer)), length_ratio_metric())
        context: Hashable = ("context", config.data, config.language, config.context_turns)
        reply: Hashable = ("reply", config.data, config.language, config.context_turns)
        self.direction = (reply, context) if config.backward else (context, reply)

    @property
    def selection_metric(self) -> SelectionMetric:
        return SelectionMetric("nll", higher_is_better=False)

    def load(self, split: str) -> "datasets.Dataset":
        config = self.config
        return load_exchanges(
            config.data,
            split,
            language=config.language,
            turns_column=config.turns_column,
            context_turns=config.context_turns,
            backward=config.backward,
            skip_invalid=config.skip_invalid,
        )

    def builtin_inputs(self, count: int) -> list[BuiltinInput]:
        """Return conversations with one turn per line, as ``parse_source`` reads them."""
        inputs = super().builtin_inputs(count)
        return [replace(each, value=str(each.value).replace(f" {TURN_SEPARATOR} ", "\n")) for each in inputs]

    def parse_source(self, text: str) -> str:
        """Make the source of a conversation with one turn per line."""
        return self.join_context([line for line in map(str.strip, text.splitlines()) if line])

    def join_context(self, turns: Sequence[str]) -> str:
        """Make the source of a conversation: its last ``context_turns`` turns."""
        return f" {TURN_SEPARATOR} ".join(
            turn.replace(TURN_SEPARATOR, " ") for turn in turns[-self.config.context_turns :]
        )
