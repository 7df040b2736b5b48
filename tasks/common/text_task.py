"""The base of all tasks from text to text. Such a task adds its data, its presets and its metrics."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from decoders.base import EOS, PAD, UNK
from encoders.base import Encoder, Frontend, SourceBatch
from encoders.build import build_sequence_encoder
from encoders.pretrained.text import PretrainedText, load_text_model, text_model_from_config
from encoders.text import TextEncoder, TokenEmbedding
from tasks.common.analysis.views import TextView, View
from tasks.common.data.inputs import InputSegment, ListedInput, ParsedInput
from tasks.common.data.mapped_tables import read_in_ranges, row_ranges
from tasks.common.data.text_inputs import TextFileError, exists, read_texts, text_of_value
from tasks.common.data.text_problems import text_problem
from tasks.common.data.token_table import has_texts, tokenize_pairs
from tasks.common.errors import UsageError
from tasks.common.export.inputs import ExportedInput, example_mask
from tasks.common.files import to_json
from tasks.common.inference.report import ReportExtras
from tasks.common.task import Task, vocabulary_sample
from tasks.common.text.foreign_tokenizer import check_tokenizer
from tasks.common.text.tokenizer import Tokenizer, pad_ids, sentence_end_ids
from tasks.common.text_config import TextTaskConfig

if TYPE_CHECKING:
    import datasets

TEXTS_PER_CHUNK = 4096
EXPORTED_LENGTH = 64  # tokens of the example with which a model is exported
MIN_COMMON = 0.5  # of the target's vocabulary that a decoder must be able to copy from a pretrained encoder


def collate_ids(token_ids: Sequence[Sequence[int]]) -> SourceBatch:
    """Pad the token ids of sources, without EOS, to one batch."""
    values = pad_ids([[*ids, EOS] for ids in token_ids])
    return SourceBatch(values, values != PAD)


C = TypeVar("C", bound=TextTaskConfig)


class TextReport(ReportExtras):
    """Report the perplexity of the references, which is comparable between models with the same vocabulary."""

    perplexity = True


class TextTask(Task[C]):
    """A task from text to text, with a vocabulary for each side or one for both.

    Attributes:
        source_tokenizer: The tokenizer of the sources; with a shared vocabulary the same as ``tokenizer``. A pretrained
            encoder has its own instead, as ``backbone.preprocessor``.
        pretrained_config: The settings to build the pretrained encoder from, in a run folder; else None.
        one_input_per_file: Whether a file given to ``predict`` is one source, or has one source per line.
    """

    source_tokenizer: Tokenizer
    pretrained_config: dict[str, Any] | None = None
    one_input_per_file: bool = False
    report: ReportExtras = TextReport()

    @cached_property
    def backbone(self) -> PretrainedText | None:
        """The pretrained encoder, if there is one: with its weights, or built from a run folder's configuration."""
        config = self.config.encoder
        try:
            if self.pretrained_config is not None:
                check_tokenizer(self.pretrained_config["preprocessor"]["tokenizer"])
                return text_model_from_config(self.pretrained_config)
            if config.pretrained is None:
                return None
            backbone = load_text_model(config.pretrained, states=config.states)
        except ValueError as error:
            raise UsageError(f"encoder.pretrained: {error}") from error
        try:
            backbone.preprocessor.truncate(config.max_source_tokens, self.truncation_side)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return backbone

    def vocabulary_texts(self, examples: "datasets.Dataset") -> Iterable[str]:
        targets = super().vocabulary_texts(examples)
        return chain(self.source_texts(examples), targets) if self.config.shares_vocabulary else targets

    def source_texts(self, examples: "datasets.Dataset") -> Iterator[str]:
        """Return the sources that a vocabulary is learned from."""
        return read_in_ranges(vocabulary_sample(examples)["source"])

    def fit_sources(self, examples: "datasets.Dataset") -> None:
        if self.config.shares_vocabulary:
            self.source_tokenizer = self.tokenizer
        elif self.backbone is None:
            self.source_tokenizer = Tokenizer.train(self.source_texts(examples), self.config.vocabulary)

    def source_state_dict(self) -> dict[str, Any]:
        if self.backbone is not None:
            return {"pretrained": self.backbone.to_config()}
        return {} if self.config.shares_vocabulary else {"source": self.source_tokenizer.state_dict()}

    def load_source_state_dict(self, state: dict[str, Any]) -> None:
        self.source_tokenizer = Tokenizer.from_state_dict(state["source"]) if "source" in state else self.tokenizer
        self.pretrained_config = state.get("pretrained")

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        if self.backbone is None:
            spellings = self.source_tokenizer.spellings()
            frontend: Frontend = TokenEmbedding(nn.Embedding(len(spellings), config.embedding_dim, padding_idx=PAD))
        else:
            spellings, frontend = self.backbone.preprocessor.spellings(), self.backbone
            if getattr(self.config.decoder, "copy", False):
                self.check_copied_tokens(spellings)
        return TextEncoder(
            frontend,
            build_sequence_encoder(frontend.dim, config.sequence),
            reverse=config.reverse,
            dropout=config.sequence.dropout,
            sentence_end_ids=sentence_end_ids(spellings),
            target_vocab_ids=None if self.config.shares_vocabulary else self.tokenizer.ids_of(spellings),
        )

    def check_copied_tokens(self, spellings: Sequence[str]) -> None:
        """Check that a decoder can copy the pieces of a pretrained encoder as tokens of the target's vocabulary.

        Args:
            spellings: The pieces, as the target's vocabulary would spell them.

        Raises:
            ValueError: The vocabulary is not one of words and subwords, or most of its entries are no pieces.
        """
        kind = self.config.vocabulary.kind
        if kind in ("byte", "character"):
            raise ValueError(
                f"decoder.copy copies the pieces of encoder.pretrained, and vocabulary.kind {kind} has no such tokens: "
                "allowed are bpe, unigram and word; or leave decoder.copy out"
            )
        target_ids, learned = self.tokenizer.ids_of(spellings), self.tokenizer.num_learned
        common = len(target_ids[target_ids > EOS].unique())
        if common < MIN_COMMON * learned:
            raise ValueError(
                f"decoder.copy copies the pieces of encoder.pretrained, and only {common} of the {learned} entries of "
                "the target's vocabulary are among them: choose an encoder of the target's language and case, or leave "
                "decoder.copy out"
            )

    def shared_embedding(self, encoder: Encoder) -> nn.Embedding | None:
        """Return the encoder's embedding if both sides have the same vocabulary and the same ``embedding_dim``."""
        same_dim = self.config.encoder.embedding_dim == getattr(self.config.decoder, "embedding_dim", None)
        frontend = getattr(encoder, "frontend", None)
        if self.config.shares_vocabulary and same_dim and isinstance(frontend, TokenEmbedding):
            return frontend.embedding
        return None

    def source_token_ids(self, sources: Sequence[str], dropout: float = 0.0) -> list[list[int]]:
        """Tokenize and truncate sources, without EOS; for a pretrained encoder with its special tokens.

        ``dropout`` is the rate of BPE-dropout, which a pretrained encoder does not have.
        """
        count = self.config.encoder.max_source_tokens
        kept = slice(-count, None) if self.truncation_side == "left" else slice(count or None)
        token_ids: list[list[int]] = []
        for rows in row_ranges(len(sources)):  # so that few long documents are in memory untruncated
            texts = sources[rows]
            if self.backbone is not None:  # its tokenizer truncates
                token_ids += self.backbone.preprocessor.encode(texts)
            else:
                token_ids += [ids[kept] for ids in self.source_tokenizer.encode(texts, dropout)]
        return token_ids

    def source_lengths(self, sources: Sequence[str]) -> list[int]:
        """Count the tokens of each source. Raises UsageError if some are too long for a pretrained encoder."""
        ranges = row_ranges(len(sources))
        lengths = [len(ids) for rows in ranges for ids in self.source_token_ids(sources[rows])]
        if self.backbone is None:
            return [length + 1 for length in lengths]
        limit = self.backbone.preprocessor.max_pieces
        too_long = [row for row, length in enumerate(lengths) if limit is not None and length > limit]
        if too_long:
            raise UsageError(
                f"{len(too_long)} of {len(sources)} sources are longer than the {limit} positions of "
                f"encoder.pretrained, the first of them, number {too_long[0] + 1}, with {lengths[too_long[0]]} tokens: "
                f"set encoder.max_source_tokens to {self.backbone.preprocessor.max_tokens} or less, which truncates "
                "them, or leave them out"
            )
        return lengths

    def tokenize(self, examples: "datasets.Dataset") -> "datasets.Dataset":
        """See ``Task.tokenize``. With BPE-dropout, whose ids differ from batch to batch, only lengths are made once."""
        import datasets

        if self.backbone is not None or not has_texts(examples):
            return examples
        config, tokenizers = self.config, (self.source_tokenizer, self.tokenizer)
        tokens = tokenize_pairs(
            examples,
            {"source": self.source_token_ids, "target": self.tokenizer.encode},
            vocab_size=max(map(len, tokenizers)),
            settings=lambda: [
                config.encoder.max_source_tokens,
                self.truncation_side,
                *(tokenizer.state_dict() for tokenizer in tokenizers),
            ],
        )
        if not config.vocabulary.dropout:
            return tokens
        lengths = tokens.select_columns(["length", "target_length"])
        return datasets.concatenate_datasets([examples.select_columns(["source", "target"]), lengths], axis=1)

    def collate_sources(self, sources: Sequence[str], training: bool) -> SourceBatch:
        if self.backbone is not None:
            pieces = self.backbone.preprocessor.encode_states(sources)
            lengths = torch.tensor([len(each) for each in pieces])
            values = pad_sequence(pieces, batch_first=True)
            return SourceBatch(values, torch.arange(values.size(1)) < lengths[:, None])
        dropout = self.config.vocabulary.dropout if training else 0.0
        return collate_ids(self.source_token_ids(sources, dropout))

    def batch_sources(self, sources: Sequence[Any], training: bool) -> SourceBatch:
        if isinstance(sources[0], list):
            return collate_ids(sources)
        batch = super().batch_sources(sources, training)
        if not batch.precomputed or self.backbone is None:
            return batch
        raw = self.collate_sources([self.raw_source(source) for source in sources], training)
        return replace(batch, token_ids=self.backbone.token_ids(raw))

    def pack_states(self, source: str, states: Float[np.ndarray, "states dim"]) -> bytes:
        """Pack the states of a source, and the text itself after them."""
        return super().pack_states(source, states) + source.encode()

    def raw_source(self, source: str | bytes) -> str:
        if isinstance(source, str):
            return source
        file = io.BytesIO(source)
        np.load(file, allow_pickle=False)
        return file.read().decode()

    def display_source(self, source: str) -> list[str]:
        """Return the text of each state of the encoder, as plots show it."""
        if self.backbone is not None:
            return self.backbone.preprocessor.display_tokens(source)
        return self.source_tokenizer.display_tokens([*self.source_token_ids([source])[0], EOS])

    def unknown_shares(self, sources: Sequence[str | bytes]) -> list[float]:
        texts = [self.raw_source(source) for source in sources]
        if self.backbone is not None:
            unknown_id = self.backbone.preprocessor.unknown_id
            return [sum(each == unknown_id for each in ids) / len(ids) for ids in self.source_token_ids(texts)]
        # The first token is known in any text if the vocabulary marks the beginning of words by one of its own.
        counted = [ids[1:] or ids for ids in self.source_token_ids(texts)]
        return [ids.count(UNK) / len(ids) if ids else 0.0 for ids in counted]

    def exported_input(self) -> ExportedInput:
        if self.backbone is not None:
            raise UsageError("encoder.pretrained is set, and texts can be exported with encoders from scratch only")
        config, mask = self.config.encoder, example_mask(EXPORTED_LENGTH)
        name = "tokenizer.json" if self.config.shares_vocabulary else "source_tokenizer.json"
        return ExportedInput(
            script="infer_text.py",
            example=SourceBatch(torch.where(mask, EOS, PAD), mask),
            settings={
                "tokenizer": name,
                "max_tokens": config.max_source_tokens,
                "truncation_side": self.truncation_side,
            },
            texts={name: to_json(self.source_tokenizer.state_dict())},
        )

    def list_inputs(self, arguments: Iterable[str]) -> Iterator[ListedInput]:
        """Yield the inputs of ``predict``: those in files, - for standard input, or the texts themselves."""
        for argument in arguments:
            try:
                for text in read_texts(argument, self.one_input_per_file):
                    yield ListedInput(text, text)
            except TextFileError as error:
                yield ListedInput("standard input" if argument == "-" else argument, problem=str(error))

    def parse_input(self, listed: ListedInput) -> ParsedInput:
        return self.parse_text(self.parse_source(str(listed.content)))

    def count_inputs(self, arguments: Iterable[str]) -> int | None:
        named = list(arguments)
        has_lines = not self.one_input_per_file and any(name == "-" or exists(name) for name in named)
        return None if has_lines else len(named)

    def parse_value(self, value: Any) -> ParsedInput:
        """Read a text, or the content of a file.

        Args:
            value: The text, its bytes, the path of a file with it, or a file open for reading it.

        Raises:
            UsageError: for anything else, and for a file that can't be read.
        """
        return self.parse_text(self.parse_source(text_of_value(value)))

    def parse_source(self, text: str) -> str:
        """Turn a text from the command line or a file into a source of the form that ``load`` returns."""
        return text.strip()

    def parse_text(self, source: str) -> ParsedInput:
        """Check an input of ``predict``: what is wrong with it, or unlike the training data."""
        parsed = ParsedInput(source, is_named=False)
        invalid = text_problem(source)
        if invalid:
            return replace(parsed, problem=invalid) if source else replace(parsed, notes=[invalid])
        length, limit = len(self.source_token_ids([source])[0]), self.config.batch.max_source_length
        positions = None if self.backbone is None else self.backbone.preprocessor.max_pieces
        if positions is not None and length > positions:
            too_long = (
                f"has {length} tokens, and the pretrained encoder has {positions} positions: divide it into parts"
            )
            return replace(parsed, problem=too_long)
        notes = []
        if length > limit:
            notes.append(f"has {length} tokens, and sources in training had at most {limit}: divide it into parts")
        if self.unknown_shares([source]) == [1.0]:
            notes.append("has no word of the vocabulary: its output is meaningless")
        return replace(parsed, segments=[InputSegment(source)], notes=notes)

    def view_alignment(self, source: str, weights: Float[Tensor, "target source"]) -> list[View]:
        return [TextView(weights, self.display_source(source))]
