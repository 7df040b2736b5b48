"""Dialogue: the last turns of a conversation in, a reply out."""

from collections.abc import Sequence
from dataclasses import dataclass

import datasets
from sacrebleu.metrics.bleu import BLEU

from tasks.common.metrics.diversity import distinct_n, length_ratio_metric
from tasks.common.metrics.translation import sacrebleu_metric
from tasks.common.task import Task
from tasks.common.text.words import split_words
from tasks.common.text_task import TextTask, TextTaskConfig
from tasks.dialogue.data import TURN, load_exchanges

SPACELESS = ("chinese", "japanese", "thai", "traditionalchinese")


@dataclass(frozen=True, kw_only=True)
class DialogueConfig(TextTaskConfig):
    language: str = "english"
    """What is spoken: without data, the part of chatterbot-corpus. BLEU counts characters of some languages."""
    column: str = "dialog"
    """Of a table: the column that holds a list of turns."""
    turns: int = 3
    """How many turns before the reply are read."""
    backward: bool = False
    """Write what was said from what was replied: a model to rank replies by (--rerank)."""

    def __post_init__(self):
        super().__post_init__()
        if self.turns < 1:
            raise ValueError(f"turns is {self.turns}; allowed is 1 or more")


class Dialogue(TextTask[DialogueConfig]):
    reads_end = True
    reads_whole_files = True
    open_ended = True

    def __init__(self, config: DialogueConfig):
        super().__init__(config)
        tokenizer = "char" if config.language in SPACELESS else "13a"
        self.metrics = (sacrebleu_metric("bleu", BLEU(tokenize=tokenizer)), length_ratio_metric())

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        return load_exchanges(
            config.data, split, config.language, config.column, config.turns, config.backward, config.skip_invalid
        )

    def parse_source(self, text: str) -> str:
        """A turn a line, the last one at the end."""
        return self.context([line for line in map(str.strip, text.splitlines()) if line])

    def context(self, turns: Sequence[str]) -> str:
        """What is read of a conversation so far."""
        return f" {TURN} ".join(turn.replace(TURN, " ") for turn in turns[-self.config.turns :])

    def is_reverse_of(self, other: Task) -> bool:
        config = other.config
        same = ("data", "language", "turns")
        return (
            isinstance(config, DialogueConfig)
            and config.backward != self.config.backward
            and all(getattr(config, name) == getattr(self.config, name) for name in same)
        )

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        return {
            "distinct-1": distinct_n(hypotheses, 1),
            "distinct-2": distinct_n(hypotheses, 2),
            "different replies": 100 * len(set(hypotheses)) / len(hypotheses),
            "words a reply": sum(len(split_words(text)) for text in hypotheses) / len(hypotheses),
        }
