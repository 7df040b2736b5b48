"""Tokenizers, on Hugging Face's library: the same class for source and target."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, get_args, get_type_hints

import tokenizers
import torch
from jaxtyping import Int
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from decoders.base import BOS, EOS, PAD, UNK
from tasks.common.errors import UsageError
from tasks.common.text.config import BYTES, SPECIAL, VocabularyConfig

SPACE = "▁"
ESCAPE = "\ue000"  # of private use; with a digit after it, it stands for itself or for the mark of spaces in a text
ESCAPES = {ESCAPE: f"{ESCAPE}0", SPACE: f"{ESCAPE}1"}
PRIVATE_USE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")  # which no font has to contain
PRIVATE_USE_MARK = "◇"
MAX_WORD_LENGTH = 1000  # characters; longer words are cut, since training of BPE is quadratic in their length
MAX_KNOWN_WORDS = 200_000  # whose ids a tokenizer remembers, in some 60 MB
PUNCTUATION = Regex(f"(?!{SPACE})[\\p{{P}}\\p{{S}}]")
LEARNED = {"added_tokens", "vocab", "merges", "unk_id"}  # what training fills in a saved tokenizer and its model
SENTENCE_ENDS = ".!?。！？।؟"
# Scripts without spaces between words: in a word vocabulary each of their characters is a word.
UNSPACED = Regex(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]")


class Tokenizer:
    """Converts text to token ids and back.

    A space becomes a visible mark at the beginning of the next word, so the text can be restored from the tokens. With
    subwords, unseen characters are spelled in bytes, so only spaces at the ends of a line are lost; with kind byte,
    nothing is. Text that looks like a special token, such as ``</s>``, is treated as any other text.

    Attributes:
        is_byte_level: Whether it is of kind byte.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer):
        self.tokenizer = tokenizer
        self.tokenizer.encode_special_tokens = True
        self.is_byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
        self.known_words: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    @classmethod
    def train(cls, texts: Iterable[str], config: VocabularyConfig) -> "Tokenizer":
        """Train a tokenizer.

        Raises:
            UsageError: there is not enough text to learn a vocabulary from.
        """
        tokenizer, trainer = build_untrained(config)
        if config.kind == "unigram":  # its trainer keeps all characters, which may leave no room for words
            texts = list(texts)
            characters = Counter(character for text in texts for character in text if character != " ")
            rare = [character for character, _ in characters.most_common()[config.size - len(SPECIAL + BYTES) - 2 :]]
            texts = [text.translate(dict.fromkeys(map(ord, rare))) for text in texts]
        tokenizer.train_from_iterator(texts, trainer)
        saved = json.loads(tokenizer.to_str())
        if config.kind == "unigram":  # its trainer has no option for it
            saved["model"]["byte_fallback"] = True
        trained = cls.from_state_dict(saved)
        if len(trained) <= len(SPECIAL):
            raise UsageError(
                "no vocabulary can be learned: there is too little training text; provide more, or lower "
                f"vocabulary.min_frequency from {config.min_frequency}"
            )
        return trained

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to restore the tokenizer, for JSON."""
        return json.loads(self.tokenizer.to_str())

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "Tokenizer":
        """Restore a tokenizer from ``state_dict``.

        Raises:
            UsageError: it was not made by ``train``. Replacements and patterns of a stranger could make any text as
                long, or its reading as slow, as he likes.
        """
        if not is_numbered(state):  # the library goes through all numbers up to the largest, which may be any
            raise UsageError("its tokens are not numbered from 0 without gaps; restore it or train the run again")
        foreign = UsageError("its tokenizer was not made by this program; restore it or train the run again")
        # The library panics, in no exception of Python's, at some settings of a model; so these are compared first.
        if not any(without_learned(state)["model"].items() <= fixed["model"].items() for fixed in fixed_parts()):
            raise foreign
        restored = cls(tokenizers.Tokenizer.from_str(json.dumps(state)))
        # As the library writes it now: it reads what its older versions wrote, which may lack settings that came later.
        if without_learned(restored.state_dict()) not in fixed_parts():
            raise foreign
        return restored

    def encode(self, texts: Sequence[str], dropout: float = 0.0) -> list[list[int]]:
        """Return the token ids of each text, without BOS and EOS. ``dropout``: see VocabularyConfig.

        Texts are split at spaces before anything else, so a word has the same ids in each of them, and frequent words
        are looked up: that takes a tenth of the time.
        """
        if dropout or self.is_byte_level:  # bytes are split otherwise
            return self.encode_whole(texts, dropout)
        if len(self.known_words) > MAX_KNOWN_WORDS:
            self.known_words.clear()
        split = [text.split(" ") for text in texts]
        new = list({word for words in split for word in words}.difference(self.known_words))
        self.known_words.update(zip(new, self.encode_whole(new), strict=True))
        irregular = [place for place, words in enumerate(split) if "" in words]  # several spaces, or one at an end
        token_ids = [list(chain.from_iterable(map(self.known_words.__getitem__, words))) for words in split]
        for place, ids in zip(irregular, self.encode_whole([texts[place] for place in irregular]), strict=True):
            token_ids[place] = ids
        return token_ids

    def encode_whole(self, texts: Sequence[str], dropout: float = 0.0) -> list[list[int]]:
        """Return the token ids of each text; see ``encode``. All cores take part."""
        if dropout:
            self.tokenizer.model.dropout = dropout
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        if dropout:
            self.tokenizer.model.dropout = None  # it is no part of the saved tokenizer
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a sentence of token ids without BOS and EOS."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=False)
        return text if self.is_byte_level else text.strip()

    @property
    def num_learned(self) -> int:
        """The number of entries that were learned from text, without special tokens and spelled bytes."""
        return len(self.tokenizer.get_vocab().keys() - {*SPECIAL, *BYTES})

    def spellings(self) -> list[str]:
        """Return each entry of the vocabulary by its id; a ``SPACE`` in it begins a word."""
        return [self.tokenizer.id_to_token(number) or "" for number in range(len(self))]

    def ids_of(self, spellings: Sequence[str]) -> Int[Tensor, " entries"]:
        """Return the id of each entry of another vocabulary; UNK where this one lacks it."""
        entries = self.tokenizer.get_vocab()
        return torch.tensor([entries.get(spelling, UNK) for spelling in spellings])

    def display_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return each token as plots and tables show it, with marks for spaces and for characters of private use."""
        if self.is_byte_level:
            shown = [self.tokenizer.decode([id], skip_special_tokens=False) for id in ids]
            shown = [text.translate({ord(" "): "·", ord("\n"): "↵", ord("\t"): "→"}) for text in shown]
        else:
            shown = [(self.tokenizer.id_to_token(id) or SPECIAL[UNK]).replace(SPACE, "·") for id in ids]
            for text, escaped in reversed(ESCAPES.items()):
                shown = [each.replace(escaped, text) for each in shown]
        return [PRIVATE_USE.sub(PRIVATE_USE_MARK, each) for each in shown]


def build_untrained(config: VocabularyConfig) -> tuple[tokenizers.Tokenizer, Any]:
    """Return a tokenizer that has learned nothing, and its trainer."""
    model, trainer, splits = build_model(config)
    tokenizer = tokenizers.Tokenizer(model)
    normalizer: list[Any] = [normalizers.Lowercase()] if config.lowercase else []
    if config.kind == "byte":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=False), *splits])
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"), *splits]
        )
        tokenizer.decoder = decoders.Sequence(
            [
                decoders.ByteFallback(),
                decoders.Metaspace(replacement=SPACE, prepend_scheme="always"),
                decoders.Fuse(),
                *(decoders.Replace(escaped, text) for text, escaped in reversed(ESCAPES.items())),
            ]
        )
        normalizer += [normalizers.Replace(text, escaped) for text, escaped in ESCAPES.items()]
    tokenizer.normalizer = normalizers.Sequence(normalizer)
    return tokenizer, trainer


@cache
def fixed_parts() -> list[dict[str, Any]]:
    """List what the tokenizers of all configurations have that is not learned, in the form of ``state_dict``."""
    kinds = get_args(get_type_hints(VocabularyConfig)["kind"])
    configs = (VocabularyConfig(kind=kind, lowercase=lowercase) for kind in kinds for lowercase in (False, True))
    return [without_learned(json.loads(build_untrained(config)[0].to_str())) for config in configs]


def is_numbered(state: dict[str, Any]) -> bool:
    """Tell whether the tokens of a saved tokenizer are numbered from 0 without gaps."""
    vocabulary = state["model"]["vocab"]  # a dictionary of tokens, or with kind unigram their list
    ids = {*vocabulary.values()} if isinstance(vocabulary, dict) else {*range(len(vocabulary))}
    ids |= {token["id"] for token in state["added_tokens"]}
    return ids == {*range(len(ids))}


def without_learned(state: dict[str, Any]) -> dict[str, Any]:
    """Return a saved tokenizer without what training fills."""
    settings, model = (
        {name: value for name, value in each.items() if name not in LEARNED} for each in (state, state["model"])
    )
    return settings | {"model": model}


def build_model(config: VocabularyConfig) -> tuple[Any, Any, list[Any]]:
    """Return the model, its trainer, and the pre-tokenizers that split text further after it was split at spaces."""
    punctuation = pre_tokenizers.Split(PUNCTUATION, "isolated")
    cut = pre_tokenizers.FixedLength(length=MAX_WORD_LENGTH)
    common = {"vocab_size": config.size, "show_progress": False}
    match config.kind:
        case "bpe":
            model = models.BPE(unk_token=SPECIAL[UNK], byte_fallback=True)
            room = config.size - len(SPECIAL + BYTES)  # rarer characters are spelled in bytes
            trainer = trainers.BpeTrainer(
                special_tokens=SPECIAL + BYTES, min_frequency=config.min_frequency, limit_alphabet=room, **common
            )
            return model, trainer, [punctuation, cut]
        case "byte":
            trainer = trainers.BpeTrainer(
                special_tokens=SPECIAL,
                min_frequency=config.min_frequency,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                **common,
            )
            return models.BPE(unk_token=SPECIAL[UNK]), trainer, [cut]
        case "unigram":
            trainer = trainers.UnigramTrainer(special_tokens=SPECIAL + BYTES, unk_token=SPECIAL[UNK], **common)
            return models.Unigram([(SPECIAL[UNK], 0.0)], 0, byte_fallback=True), trainer, [punctuation, cut]
        case "word" | "character":
            trainer = trainers.WordLevelTrainer(special_tokens=SPECIAL, min_frequency=config.min_frequency, **common)
            each = pre_tokenizers.Split(UNSPACED if config.kind == "word" else Regex("."), "isolated")
            return models.WordLevel(unk_token=SPECIAL[UNK]), trainer, [punctuation, each]


def sentence_end_ids(spellings: Sequence[str]) -> list[int]:
    """Return the ids of punctuation that ends a sentence, in the scripts that have it, in a vocabulary."""
    ends = {*SENTENCE_ENDS, *(SPACE + end for end in SENTENCE_ENDS)}
    return [number for number, spelling in enumerate(spellings) if spelling in ends]


def pad_ids(sentences: Sequence[Sequence[int]]) -> Int[Tensor, "batch length"]:
    """Pad sentences of token ids to the longest."""
    return pad_sequence([torch.tensor(ids, dtype=torch.long) for ids in sentences], batch_first=True, padding_value=PAD)


def add_bos_eos(ids: Sequence[int]) -> list[int]:
    """Add BOS and EOS to a target sentence."""
    return [BOS, *ids, EOS]
