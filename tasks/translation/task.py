"""Translation: a sentence in one language in, the same in another one out."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import torch
from torch import nn

from decoders.base import EOS, PAD
from encoders.base import Encoder, Source
from encoders.text import TextEncoder
from tasks.config import Config, ReaderConfig
from tasks.errors import at_least
from tasks.metrics import translation_metrics
from tasks.model import build_reader
from tasks.pictures import draw_alignment
from tasks.progress import console
from tasks.task import Piece, Task
from tasks.text import Vocabulary, pad
from tasks.translation.data import load_pairs, problem, text_lines


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig(ReaderConfig):
    reverse: bool = False
    """Read the sentence from its end (Sutskever et al. 2014)."""
    embedding: int = 256
    dropout: float = 0.3

    def allowed(self) -> dict[str, tuple[bool, str]]:
        return super().allowed() | at_least(1, self, "embedding")


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(Config):
    source: str = "de"
    """Language, file ending or column to translate from."""
    target: str = "en"
    """Language, file ending or column to translate to."""
    encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)

    def __post_init__(self):
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.source!r}; name two different ones")


def is_file(name: str) -> bool:
    """Also for a sentence that no file can be called: Path.is_file raises for one that is too long."""
    try:
        return Path(name).is_file()
    except OSError:
        return False


class Translation(Task[TranslationConfig]):
    source_vocabulary: Vocabulary

    def __init__(self, config: TranslationConfig):
        super().__init__(config)
        self.metrics = translation_metrics(config.target)

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        return load_pairs(config.data, split, config.source, config.target, config.skip_bad)

    def fit(self, examples: datasets.Dataset) -> None:
        sources, targets = examples["source"], examples["target"]
        if self.config.vocabulary.shared:
            self.vocabulary = self.source_vocabulary = Vocabulary.train([*sources, *targets], self.config.vocabulary)
        else:
            self.source_vocabulary = Vocabulary.train(sources, self.config.vocabulary)
            self.vocabulary = Vocabulary.train(targets, self.config.vocabulary)

    def state(self) -> dict[str, Any]:
        if self.config.vocabulary.shared:
            return {"target": self.vocabulary.state()}
        return {"source": self.source_vocabulary.state(), "target": self.vocabulary.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.vocabulary = Vocabulary.restore(state["target"])
        self.source_vocabulary = Vocabulary.restore(state["source"]) if "source" in state else self.vocabulary

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        return TextEncoder(
            nn.Embedding(len(self.source_vocabulary), config.embedding, padding_idx=PAD),
            build_reader(config.embedding, config),
            reverse=config.reverse,
            dropout=config.dropout,
            ends=self.source_vocabulary.sentence_ends(),
            meanings=None if self.config.vocabulary.shared else self.source_vocabulary.meanings(self.vocabulary),
        )

    def target_embedding(self, encoder: Encoder) -> nn.Embedding:
        """One vocabulary and one size: one matrix embeds both languages, and with ``tied`` writes as well."""
        same_size = self.config.encoder.embedding == self.config.decoder.embedding
        if self.config.vocabulary.shared and same_size and isinstance(encoder, TextEncoder):
            return encoder.embedding
        return super().target_embedding(encoder)

    def source_lengths(self, sources: Sequence[str]) -> list[int]:
        return [len(ids) + 1 for ids in self.source_vocabulary.encode(sources)]

    def collate_sources(self, sources: Sequence[str], training: bool) -> Source:
        dropout = self.config.vocabulary.dropout if training else 0.0
        values = pad([[*ids, EOS] for ids in self.source_vocabulary.encode(sources, dropout)])
        return Source(values, values != PAD)

    def parse(self, arguments: Sequence[str]) -> list[list[Piece]]:
        sentences: list[str] = []
        for argument in arguments:
            if argument == "-":
                sentences += text_lines(sys.stdin.buffer.read())
            elif is_file(argument):
                sentences += text_lines(Path(argument).read_bytes())
            else:
                sentences.append(argument.strip())
        return [
            [Piece(sentence)] if self.usable(number, sentence) else []
            for number, sentence in enumerate(sentences, start=1)
        ]

    def usable(self, number: int, sentence: str) -> bool:
        """Whether the sentence can be translated; says what is odd about it."""
        wrong = problem(sentence)
        if wrong:
            console.print(f"input {number} {wrong}: its line stays empty")
            return False
        length = len(self.source_vocabulary.encode([sentence])[0])
        if length > self.config.batch.max_frames:
            console.print(
                f"input {number} has {length} tokens and training saw {self.config.batch.max_frames} at most: "
                "cut it into sentences to have it translated well"
            )
        return True

    def render(self, source: str, hypothesis: list[int], weights: torch.Tensor, path: Path) -> None:
        columns = self.source_vocabulary.pieces([*self.source_vocabulary.encode([source])[0], EOS])
        draw_alignment(weights, self.vocabulary.pieces([*hypothesis, EOS]), columns, path)
