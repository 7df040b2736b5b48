"""The base of all tasks from text to text. Such a task adds its data, its presets and its metrics."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import datasets
import tyro
from jaxtyping import Float
from torch import Tensor, nn

from attention.validation import at_least, check_settings
from decoders.base import EOS, PAD, UNK
from encoders.base import Encoder, SourceBatch
from encoders.build import build_sequence_encoder
from encoders.config import RecurrentEncoderConfig, SequenceEncoderConfig
from encoders.text import TextEncoder
from tasks.common.analysis import plots
from tasks.common.config import Config
from tasks.common.console import console
from tasks.common.data.inputs import InputSegment, ParsedInput
from tasks.common.data.parallel_text import read_lines, text_problem
from tasks.common.errors import UsageError
from tasks.common.inference.report import ReportExtras
from tasks.common.streams import read_standard_input
from tasks.common.task import Task
from tasks.common.text.tokenizer import Tokenizer, pad_ids

LOOKS_LIKE_FILE = re.compile(r"[^\s<>]*[\w-](/|\.[A-Za-z]\w{0,5})")  # warn if there is no such file
TEXTS_PER_CHUNK = 4096


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Settings of the text encoder: token embeddings and a sequence encoder.

    The dropout rate of the sequence encoder is also that of the embeddings and of the encoder's states.
    """

    sequence: Annotated[SequenceEncoderConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: RecurrentEncoderConfig(dropout=0.3), kw_only=False
    )
    embedding_dim: int = 256
    reverse: bool = False
    """Encode the text from its last token to its first (Sutskever et al. 2014)."""
    max_source_tokens: int = 0
    """Truncate longer sources (0: never); the side that is kept depends on the task."""

    def __post_init__(self):
        check_settings("encoder", self, at_least(1, self, "embedding_dim") | at_least(0, self, "max_source_tokens"))


@dataclass(frozen=True, kw_only=True)
class TextTaskConfig(Config):
    """Settings of every task from text to text."""

    encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)

    def __post_init__(self):
        # A truncated source has one token more: EOS.
        if self.encoder.max_source_tokens >= self.batch.max_source_length:
            raise ValueError(
                f"encoder.max_source_tokens is {self.encoder.max_source_tokens} and batch.max_source_length "
                f"{self.batch.max_source_length}, so training would skip all truncated sources; allowed is a "
                "batch.max_source_length above encoder.max_source_tokens"
            )

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        return super().unused_settings() | {"batch.targets_per_source": "a source has one target"}


C = TypeVar("C", bound=TextTaskConfig)


class TextReport(ReportExtras):
    """Report the perplexity of the references, which is comparable between models with the same vocabulary."""

    perplexity = True


class TextTask(Task[C]):
    """A task from text to text, with a vocabulary for each side or one for both.

    Attributes:
        source_tokenizer: The tokenizer of the sources; with ``vocabulary.shared`` the same as ``tokenizer``.
        one_input_per_file: Whether a file given to ``predict`` is one source, or has one source per line.
    """

    source_tokenizer: Tokenizer
    one_input_per_file: bool = False
    report: ReportExtras = TextReport()

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
        return {"source": self.source_tokenizer.state_dict(), "target": self.tokenizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tokenizer = Tokenizer.from_state_dict(state["target"])
        self.source_tokenizer = Tokenizer.from_state_dict(state["source"]) if "source" in state else self.tokenizer

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        return TextEncoder(
            nn.Embedding(len(self.source_tokenizer), config.embedding_dim, padding_idx=PAD),
            build_sequence_encoder(config.embedding_dim, config.sequence),
            reverse=config.reverse,
            dropout=config.sequence.dropout,
            sentence_end_ids=self.source_tokenizer.sentence_end_ids(),
            target_vocab_ids=None if self.config.vocabulary.shared else self.source_tokenizer.ids_in(self.tokenizer),
        )

    def shared_embedding(self, encoder: Encoder) -> nn.Embedding | None:
        """Return the encoder's embedding if both sides have the same vocabulary and the same ``embedding_dim``."""
        same_dim = self.config.encoder.embedding_dim == getattr(self.config.decoder, "embedding_dim", None)
        if self.config.vocabulary.shared and same_dim and isinstance(encoder, TextEncoder):
            return encoder.embedding
        return None

    def source_token_ids(self, sources: Sequence[str], dropout: float = 0.0) -> list[list[int]]:
        """Tokenize and truncate sources; without EOS. ``dropout`` is the rate of BPE-dropout."""
        count = self.config.encoder.max_source_tokens
        kept = slice(-count, None) if self.truncation_side == "left" else slice(count or None)
        token_ids: list[list[int]] = []
        for start in range(0, len(sources), TEXTS_PER_CHUNK):  # so that few long documents are in memory untruncated
            chunk = self.source_tokenizer.encode(sources[start : start + TEXTS_PER_CHUNK], dropout)
            token_ids += [ids[kept] for ids in chunk]
        return token_ids

    def source_lengths(self, sources: Sequence[str]) -> list[int]:
        return [len(ids) + 1 for ids in self.source_token_ids(sources)]

    def collate_sources(self, sources: Sequence[str], training: bool) -> SourceBatch:
        dropout = self.config.vocabulary.dropout if training else 0.0
        values = pad_ids([[*ids, EOS] for ids in self.source_token_ids(sources, dropout)])
        return SourceBatch(values, values != PAD)

    def unknown_shares(self, sources: Sequence[str]) -> list[float]:
        # The first token is known in any text if the vocabulary marks the beginning of words by one of its own.
        counted = [ids[1:] or ids for ids in self.source_token_ids(sources)]
        return [ids.count(UNK) / len(ids) if ids else 0.0 for ids in counted]

    def parse_inputs(self, arguments: Sequence[str]) -> list[ParsedInput]:
        """Read the inputs of ``predict``: files, - for standard input, or the texts themselves."""
        texts: list[str] = []
        for argument in arguments:
            if argument == "-":
                texts += self.split_file(read_standard_input(), "standard input")
            elif exists(argument):
                if Path(argument).is_dir():
                    raise UsageError(f"{argument} is a folder: name the files in it")
                try:
                    texts += self.split_file(Path(argument).read_bytes(), argument)
                except OSError as error:
                    raise UsageError(f"{argument} can't be read ({error.strerror})") from error
            else:
                if LOOKS_LIKE_FILE.fullmatch(argument):
                    console.print(f"there is no file {argument}; its name is used as the input text")
                texts.append(argument)
        sources = [self.parse_source(text) for text in texts]
        return [self.parse_text(number, source) for number, source in enumerate(sources, 1)]

    def split_file(self, content: bytes, name: str) -> list[str]:
        """Return the texts in a file: the whole content, or its lines. Raises UsageError if it is empty."""
        content = content.removeprefix(b"\xef\xbb\xbf")
        if not content:
            raise UsageError(f"{name} is empty: there is no input in it")
        return [content.decode("utf-8", errors="replace")] if self.one_input_per_file else read_lines(content)

    def parse_source(self, text: str) -> str:
        """Turn a text from the command line or a file into a source of the form that ``load`` returns."""
        return text.strip()

    def parse_text(self, number: int, source: str) -> ParsedInput:
        """Check an input of ``predict``, and print what is wrong with it or unlike the training data."""
        invalid = text_problem(source)
        if invalid:
            console.print(f"input {number} {invalid}: its line stays empty")
            return ParsedInput(source, problem=invalid) if source else ParsedInput(source, notes=[invalid])
        tokens, limit = self.source_token_ids([source])[0], self.config.batch.max_source_length
        if len(tokens) > limit:
            console.print(
                f"input {number} has {len(tokens)} tokens, and sources in training had at most {limit}: divide it "
                "into parts"
            )
        if self.unknown_shares([source]) == [1.0]:
            console.print(f"input {number} has no word of the vocabulary: its output is meaningless")
        return ParsedInput(source, [InputSegment(source)])

    def plot_alignment(
        self, source: str, tokens: list[str], weights: Float[Tensor, "target source"], path: Path
    ) -> None:
        source_tokens = self.source_tokenizer.display_tokens([*self.source_token_ids([source])[0], EOS])
        plots.plot_alignment(weights, tokens, source_tokens, path)


def exists(name: str) -> bool:
    """Tell whether a file, a pipe or a folder has this name; "." and texts too long for a name are texts."""
    try:
        return any(map(str.isalnum, name)) and Path(name).exists()
    except OSError:
        return False
