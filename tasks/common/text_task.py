"""What every task from text to text shares: a source vocabulary, the text encoder, and how inputs are read.

A task of this kind is its data, its presets and its metrics.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import datasets
import torch
from torch import nn

from attention.validation import at_least
from decoders.base import EOS, PAD, UNK
from encoders.base import Encoder, SourceBatch
from encoders.text import TextEncoder
from tasks.common.analysis.plots import plot_alignment
from tasks.common.config import Config, ReaderConfig
from tasks.common.console import console
from tasks.common.data.inputs import InputSegment
from tasks.common.data.parallel_text import read_lines, text_problem
from tasks.common.errors import UsageError
from tasks.common.model import build_sequence_encoder
from tasks.common.task import Task
from tasks.common.text.tokenizer import Tokenizer, pad_ids


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig(ReaderConfig):
    reverse: bool = False
    """Read the sentence from its end (Sutskever et al. 2014)."""
    limit: int = 0
    """At most so many tokens of a source are read (0: all): its first ones, or, where the end is what matters, as in
    conversations and code, its last."""
    embedding: int = 256
    dropout: float = 0.3

    def allowed(self) -> dict[str, tuple[bool, str]]:
        return super().allowed() | at_least(1, self, "embedding") | at_least(0, self, "limit")


@dataclass(frozen=True, kw_only=True)
class TextTaskConfig(Config):
    encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)

    def __post_init__(self):
        if self.encoder.limit >= self.batch.max_source_length:
            raise ValueError(
                f"encoder.limit is {self.encoder.limit} and batch.max-frames {self.batch.max_source_length}: training would "
                "leave out what is cut to that limit; set --batch.max-source-length higher"
            )


C = TypeVar("C", bound=TextTaskConfig)

FILE_NAME = re.compile(r"[^\s<>]*[\w-](/|\.[A-Za-z]\w{0,5})")  # what a person means as one
CHUNK = 4096  # sources whose tokens are made at a time


def is_file(name: str) -> bool:
    """Also for a sentence that no file can be called: Path.is_file raises for one that is too long."""
    try:
        return Path(name).is_file()
    except OSError:
        return False


class TextTask(Task[C]):
    source_tokenizer: Tokenizer
    reads_end = False  # which end of a source that is too long is read
    reads_whole_files = False  # whether a file for predict is one source, or holds one a line
    likelihood = True

    def fit(self, examples: datasets.Dataset) -> None:
        sources, targets = examples["source"], examples["target"]
        if self.config.vocabulary.shared:
            self.tokenizer = self.source_tokenizer = Tokenizer.train([*sources, *targets], self.config.vocabulary)
        else:
            self.source_tokenizer = Tokenizer.train(sources, self.config.vocabulary)
            self.tokenizer = Tokenizer.train(targets, self.config.vocabulary)

    def state_dict(self) -> dict[str, Any]:
        if self.config.vocabulary.shared:
            return {"target": self.tokenizer.state_dict()}
        return {"source": self.source_tokenizer.state(), "target": self.tokenizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tokenizer = Tokenizer.from_state_dict(state["target"])
        self.source_tokenizer = Tokenizer.from_state_dict(state["source"]) if "source" in state else self.tokenizer

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        return TextEncoder(
            nn.Embedding(len(self.source_tokenizer), config.embedding, padding_idx=PAD),
            build_sequence_encoder(config.embedding, config),
            reverse=config.reverse,
            dropout=config.dropout,
            ends=self.source_tokenizer.sentence_end_ids(),
            meanings=None if self.config.vocabulary.shared else self.source_tokenizer.ids_in(self.tokenizer),
        )

    def target_embedding(self, encoder: Encoder) -> nn.Embedding:
        """One vocabulary and one size: one matrix embeds both sides, and with ``tied`` writes as well."""
        same_size = self.config.encoder.embedding == self.config.decoder.embedding
        if self.config.vocabulary.shared and same_size and isinstance(encoder, TextEncoder):
            return encoder.embedding
        return super().target_embedding(encoder)

    def source_tokens(self, sources: Sequence[str], dropout: float = 0.0) -> list[list[int]]:
        """What the encoder reads of each source, without its end."""
        limit = self.config.encoder.limit
        kept = slice(-limit, None) if self.reads_end else slice(limit or None)
        found: list[list[int]] = []
        for start in range(0, len(sources), CHUNK):  # so that of long documents only what is read is ever held
            found += [ids[kept] for ids in self.source_tokenizer.encode(sources[start : start + CHUNK], dropout)]
        return found

    def source_lengths(self, sources: Sequence[str]) -> list[int]:
        return [len(ids) + 1 for ids in self.source_tokens(sources)]

    def collate_sources(self, sources: Sequence[str], training: bool) -> SourceBatch:
        dropout = self.config.vocabulary.dropout if training else 0.0
        values = pad_ids([[*ids, EOS] for ids in self.source_tokens(sources, dropout)])
        return SourceBatch(values, values != PAD)

    def parse(self, arguments: Sequence[str]) -> list[list[InputSegment]]:
        inputs: list[str] = []
        for argument in arguments:
            if argument == "-":
                inputs += self.inputs(sys.stdin.buffer.read())
            elif is_file(argument):
                try:
                    inputs += self.inputs(Path(argument).read_bytes())
                except OSError as error:
                    raise UsageError(f"{argument} can't be read ({error.strerror})") from error
            else:
                if FILE_NAME.fullmatch(argument):
                    console.print(f"there is no file {argument}: it is read as the text itself", markup=False)
                inputs.append(argument)
        sources = [self.parse_source(text) for text in inputs]
        return [
            [InputSegment(source)] if self.usable(number, source) else [] for number, source in enumerate(sources, 1)
        ]

    def inputs(self, content: bytes) -> list[str]:
        """What a file holds: a source, or one a line."""
        if not self.reads_whole_files:
            return read_lines(content)
        return [content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")]

    def parse_source(self, text: str) -> str:
        """What a person typed, or a file holds, as a source."""
        return text.strip()

    def usable(self, number: int, source: str) -> bool:
        """Whether something can be written for the source; says what is odd about it."""
        wrong = text_problem(source)
        if wrong:
            console.print(f"input {number} {wrong}: its line stays empty")
            return False
        tokens, longest = self.source_tokens([source])[0], self.config.batch.max_source_length
        if len(tokens) > longest:
            console.print(
                f"input {number} has {len(tokens)} tokens and training saw at most {longest}: cut it into parts"
            )
        if all(token == UNK for token in tokens[1:] or tokens):
            console.print(f"input {number} has no word that training saw: what is written for it means nothing")
        return True

    def render(self, source: str, hypothesis: list[int], weights: torch.Tensor, path: Path) -> None:
        columns = self.source_tokenizer.pieces([*self.source_tokens([source])[0], EOS])
        plot_alignment(weights, self.tokenizer.display_tokens([*hypothesis, EOS]), columns, path)
