"""Text in and out: vocabularies on Hugging Face tokenizers, the same class for source and target."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import tokenizers
import torch
from jaxtyping import Int
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decoders.base import BOS, EOS, PAD, UNK
from tasks.common.errors import UsageError

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]  # PAD, UNK, BOS, EOS
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # what a character that was never seen is spelled with
SPACE = "▁"
PUNCTUATION = Regex(f"(?!{SPACE})[\\p{{P}}\\p{{S}}]")
ENDS = ".!?。！？।؟"
# Scripts that write no spaces: for a word vocabulary each of their characters is a word.
UNSPACED = Regex(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]")


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """How text becomes tokens."""

    kind: Literal["bpe", "byte", "unigram", "word", "character"] = "bpe"
    """Subwords by merging (Sennrich et al. 2016), the same of bytes (Radford et al. 2019), which keeps every space and
    line break, or by a unigram model (Kudo 2018), words, or characters."""
    size: int = 8000
    """At most this many entries."""
    min_frequency: int = 2
    """What is rarer gets no entry of its own (bpe: is not merged; unigram: has no such limit)."""
    shared: bool = True
    """One vocabulary for source and target instead of one each."""
    lowercase: bool = False
    dropout: float = 0.0
    """BPE-dropout (Provilkov et al. 2020): the share of merges left out at random while training."""

    def __post_init__(self):
        smallest = len(SPECIAL) + (len(BYTES) if self.kind in ("bpe", "byte", "unigram") else 0)
        if self.size <= smallest:
            raise ValueError(
                f"vocabulary.size is {self.size}; a {self.kind} vocabulary needs more than {smallest} entries"
            )
        if self.min_frequency < 0:
            raise ValueError(f"vocabulary.min-frequency is {self.min_frequency}; allowed is 0 or more")
        if not 0.0 <= self.dropout < 1.0 or (self.dropout and self.kind != "bpe"):
            raise ValueError(
                f"vocabulary.dropout is {self.dropout} with {self.kind}; allowed is 0 to below 1, only with bpe"
            )


class Tokenizer:
    """Text to token ids and back.

    A space is written as a visible mark at the front of the word that follows it, so joining tokens gives the
    sentence back, punctuation and all; with subwords an unseen character is spelled in bytes, so nothing is lost
    but spaces at the ends of a line, and with subwords of bytes not even they. Text that looks like ``</s>`` is text
    like any other.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer):
        self.tokenizer = tokenizer
        self.tokenizer.encode_special_tokens = True
        self.is_bpe = isinstance(tokenizer.model, models.BPE)
        self.of_bytes = isinstance(tokenizer.decoder, decoders.ByteLevel)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    @classmethod
    def train(cls, texts: Iterable[str], config: VocabularyConfig) -> "Tokenizer":
        """Learn the entries from ``texts``. Raises UsageError if there is no text to learn from."""
        model, trainer, split = _kind(config)
        tokenizer = tokenizers.Tokenizer(model)
        if config.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        if config.kind == "byte":
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"), *split]
            )
            tokenizer.decoder = decoders.Sequence(
                [decoders.ByteFallback(), decoders.Metaspace(replacement=SPACE, prepend_scheme="always")]
            )
        if config.kind == "unigram":  # its trainer keeps every character and may find no room for a single word
            texts = list(texts)
            characters = Counter(character for text in texts for character in text if character != " ")
            rare = [character for character, _ in characters.most_common()[config.size - len(SPECIAL + BYTES) - 2 :]]
            texts = [text.translate(dict.fromkeys(map(ord, rare))) for text in texts]
        tokenizer.train_from_iterator(texts, trainer)
        saved = json.loads(tokenizer.to_str())
        if config.kind == "unigram":  # its trainer has no switch for it
            saved["model"]["byte_fallback"] = True
        vocabulary = cls.from_state_dict(saved)
        if len(vocabulary) <= len(SPECIAL):
            raise UsageError(
                "no vocabulary can be learned: the training text is too small; bring more by --data, or lower "
                f"--vocabulary.min-frequency from {config.min_frequency}"
            )
        return vocabulary

    def state_dict(self) -> dict[str, Any]:
        """All there is to know, ready for JSON."""
        return json.loads(self.tokenizer.to_str())

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "Tokenizer":
        return cls(tokenizers.Tokenizer.from_str(json.dumps(state)))

    def encode(self, texts: Sequence[str], dropout: float = 0.0) -> list[list[int]]:
        """Token ids of each text, without begin and end. ``dropout``: see VocabularyConfig."""
        if self.is_bpe:
            self.tokenizer.model.dropout = dropout or None
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of one sentence of token ids, without begin and end."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=False)
        return text if self.of_bytes else text.strip()

    def sentence_end_ids(self) -> list[int]:
        """The entries that end a sentence, in the scripts that have such a mark."""
        entries = self.tokenizer.get_vocab()
        return [entries[mark] for end in ENDS for mark in (end, SPACE + end) if mark in entries]

    def ids_in(self, other: "Tokenizer") -> Int[Tensor, " vocab"]:
        """The token of ``other`` that is written like each of these; its unknown token where there is none."""
        entries = other.tokenizer.get_vocab()
        own = (self.tokenizer.id_to_token(number) for number in range(len(self)))
        return torch.tensor([entries.get(token or "", UNK) for token in own])

    def display_tokens(self, ids: Sequence[int]) -> list[str]:
        """Each token as it is shown under a picture."""
        if self.of_bytes:
            shown = [self.tokenizer.decode([id], skip_special_tokens=False) for id in ids]
            return [text.translate({ord(" "): "·", ord("\n"): "↵", ord("\t"): "→"}) for text in shown]
        return [(self.tokenizer.id_to_token(id) or SPECIAL[UNK]).replace(SPACE, "·") for id in ids]


def _kind(config: VocabularyConfig) -> tuple[Any, Any, list[Any]]:
    """The tokenizers model, its trainer, and how text is cut after it was cut at spaces."""
    punctuation = pre_tokenizers.Split(PUNCTUATION, "isolated")
    common = {"vocab_size": config.size, "show_progress": False}
    match config.kind:
        case "bpe":
            model = models.BPE(unk_token=SPECIAL[UNK], byte_fallback=True)
            room = config.size - len(SPECIAL + BYTES)  # rarer characters are spelled in bytes
            trainer = trainers.BpeTrainer(
                special_tokens=SPECIAL + BYTES, min_frequency=config.min_frequency, limit_alphabet=room, **common
            )
            return model, trainer, [punctuation]
        case "byte":
            trainer = trainers.BpeTrainer(
                special_tokens=SPECIAL,
                min_frequency=config.min_frequency,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                **common,
            )
            return models.BPE(unk_token=SPECIAL[UNK]), trainer, []
        case "unigram":
            trainer = trainers.UnigramTrainer(special_tokens=SPECIAL + BYTES, unk_token=SPECIAL[UNK], **common)
            return models.Unigram(), trainer, [punctuation]
        case "word" | "character":
            trainer = trainers.WordLevelTrainer(special_tokens=SPECIAL, min_frequency=config.min_frequency, **common)
            each = pre_tokenizers.Split(UNSPACED if config.kind == "word" else Regex("."), "isolated")
            return models.WordLevel(unk_token=SPECIAL[UNK]), trainer, [punctuation, each]


def strip_newlines(text: str) -> str:
    """The text without line breaks: files hold a sentence a line, whatever a table holds or a model writes."""
    return re.sub(r"[\r\n]+", " ", text).strip()


def pad(sentences: Sequence[Sequence[int]]) -> Int[Tensor, "batch length"]:
    """Sentences of token ids as one tensor, padded to the longest."""
    return pad_sequence([torch.tensor(ids, dtype=torch.long) for ids in sentences], batch_first=True, padding_value=PAD)


def frame(ids: Sequence[int]) -> list[int]:
    """A target sentence between its begin and its end."""
    return [BOS, *ids, EOS]
