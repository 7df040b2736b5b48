"""Inputs of pretrained text models: the pieces that their own tokenizers make of a text."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import tokenizers
import torch
from jaxtyping import Int
from tokenizers import decoders
from torch import Tensor

from encoders.config import StateName

WORD_START = "▁"  # in front of the spelling of a piece that begins a word, as SentencePiece writes it


class PretrainedTokenizer:
    """The tokenizer of a pretrained model, and the states that its pieces belong to.

    A text becomes pieces: subwords, and the special tokens that the model was trained with, such as [CLS] and [SEP].
    Each piece has a state of its own, or each word does, whose pieces are averaged: a word is what the tokenizer splits
    a text into before it looks for subwords. Special tokens always have states. Text that looks like a special token
    is split like any other.
    """

    def __init__(
        self,
        tokenizer: tokenizers.Tokenizer,
        *,
        states: StateName = "subwords",
        unknown_id: int | None = None,
        max_pieces: int | None = None,
    ):
        """Wrap a tokenizer, which may truncate texts.

        Args:
            tokenizer: The tokenizer; its padding is turned off.
            states: The unit that has a state.
            unknown_id: The piece of what the vocabulary lacks, if it has one.
            max_pieces: Pieces of the longest text that the model can read, special tokens included; None: any number.
        """
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.states: StateName = states
        self.unknown_id = unknown_id
        self.max_pieces = max_pieces
        self.vocab_size = 1 + max(tokenizer.get_vocab().values())

    def __reduce__(self) -> tuple[Any, ...]:  # tokenizers forgets that special tokens in a text are text
        return type(self).from_config, (self.to_config(),)

    @property
    def num_special(self) -> int:
        """The number of special tokens of a text."""
        return self.tokenizer.num_special_tokens_to_add(is_pair=False)

    @property
    def max_tokens(self) -> int | None:
        """Pieces of the longest text that the model can read, without special tokens; None: any number."""
        return None if self.max_pieces is None else self.max_pieces - self.num_special

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PretrainedTokenizer":
        """Build a tokenizer from ``to_config``. Raises ValueError if the library can't read it."""
        settings = {name: config[name] for name in ("states", "unknown_id", "max_pieces")}
        with panics_as_errors():
            tokenizer = tokenizers.Tokenizer.from_str(json.dumps(config["tokenizer"]))
        return cls(tokenizer, **settings)

    def to_config(self) -> dict[str, Any]:
        return {
            "tokenizer": json.loads(self.tokenizer.to_str()),
            "states": self.states,
            "unknown_id": self.unknown_id,
            "max_pieces": self.max_pieces,
        }

    def truncate(self, max_tokens: int, side: Literal["left", "right"] = "right") -> None:
        """Truncate texts to ``max_tokens`` pieces and the special tokens from now on (0: never).

        Args:
            max_tokens: The number of pieces.
            side: The side that is cut off.

        Raises:
            ValueError: The model has not as many positions.
        """
        limit = self.max_tokens
        if limit is not None and max_tokens > limit:
            raise ValueError(
                f"encoder.max_source_tokens is {max_tokens}; allowed with the positions of encoder.pretrained is at "
                f"most {limit}"
            )
        self.tokenizer.no_truncation()
        if max_tokens:
            self.tokenizer.enable_truncation(max_tokens + self.num_special, direction=side)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text's pieces, special tokens included."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    def encode_states(self, texts: Sequence[str]) -> list[Int[Tensor, "pieces 2"]]:
        """Return for each piece of each text its id, and the number of the state that it belongs to."""
        return [
            torch.tensor([encoding.ids, self.state_index(encoding)]).T
            for encoding in self.tokenizer.encode_batch(list(texts))
        ]

    def state_index(self, encoding: tokenizers.Encoding) -> list[int]:
        """Return the number of each piece's state, counted from 0."""
        if self.states == "subwords":
            return list(range(len(encoding.ids)))
        index: list[int] = []
        previous = None
        for word in encoding.word_ids:  # None for special tokens
            is_new = word is None or word != previous
            index.append((index[-1] if index else -1) + is_new)
            previous = word
        return index

    def display_tokens(self, text: str) -> list[str]:
        """Return the text of each state as plots and tables show it, with a mark where a word begins."""
        (encoding,) = self.tokenizer.encode_batch([text])
        index = self.state_index(encoding)
        shown: list[str] = []
        for number in range(index[-1] + 1):
            first, count = index.index(number), index.count(number)
            is_special = encoding.word_ids[first] is None
            start, end = encoding.offsets[first][0], encoding.offsets[first + count - 1][1]
            shown.append(encoding.tokens[first] if is_special else show_span(text, start, end))
        return shown

    @cached_property
    def is_byte_level(self) -> bool:
        """True if the pieces are spelled in bytes (Radford et al. 2019)."""
        return isinstance(self.tokenizer.decoder, decoders.ByteLevel)

    def spellings(self) -> list[str]:
        """Return each piece by its id, with WORD_START in front if it begins a word.

        The last one, which is empty, is that of all states of several pieces.
        """
        saved = json.loads(self.tokenizer.to_str())["model"]
        continuing = saved.get("continuing_subword_prefix") if saved["type"] == "WordPiece" else None
        spelled = [""] * (self.vocab_size + 1)
        for piece, number in self.tokenizer.get_vocab().items():
            if self.is_byte_level:
                spelled[number] = decoders.ByteLevel().decode([piece]).replace(" ", WORD_START)
            elif continuing is None:
                spelled[number] = piece
            elif piece.startswith(continuing):
                spelled[number] = piece.removeprefix(continuing)
            else:  # punctuation stands alone
                spelled[number] = WORD_START + piece if piece.isalnum() else piece
        return spelled


def show_span(text: str, start: int, end: int) -> str:
    """Return a part of a text, with a mark in front where it begins a word, and no other spaces."""
    part = text[start:end]
    begins_word = not text[:start].rstrip() or text[start - 1].isspace() or part[:1].isspace()
    return ("·" if begins_word else "") + " ".join(part.split())


@contextlib.contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise panics of the library tokenizers, which are no ``Exception``, as ValueError."""
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise ValueError(f"its tokenizer can't be read: {error}") from error
