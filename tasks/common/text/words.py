"""Words and n-grams of free text in any script."""

import itertools
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import regex

# Scripts without spaces between words: each of their characters, with its vowel signs, counts as a word.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = regex.compile(rf"(?V1)[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}]--[{UNSPACED}]]+")

UNSPACED_CHARACTER = regex.compile(rf"(?V1)[{UNSPACED}]")
WRITTEN_WORD = regex.compile(rf"(?V1)[{UNSPACED}][\p{{M}}\p{{P}}]*|[^\s{UNSPACED}]+")


def split_words(text: str) -> list[str]:
    """Split a text into lower-cased words, without punctuation."""
    return WORD.findall(unicodedata.normalize("NFKC", text).lower())


def first_words(text: str, count: int) -> str:
    """Return the beginning of a text, unchanged, up to the end of its ``count``-th word."""
    ends = [match.end() for match in WORD.finditer(text)]
    return text[: ends[count - 1]] if 0 < count <= len(ends) else text if count else ""


def ngrams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    """Return all n-grams of ``order`` words, in their order."""
    return list(zip(*(words[start:] for start in range(order)), strict=False))


def display_words(text: str) -> list[str]:
    """Split a text into words as they are written, with their punctuation; ``join_words`` is the inverse."""
    return WRITTEN_WORD.findall(text)


def join_words(words: Sequence[str]) -> str:
    """Join written words, with spaces except in scripts without them."""
    return "".join(with_spaces(words))


def with_spaces(words: Sequence[str]) -> list[str]:
    """Return each written word with the space before it, if there is one where all of them are joined."""
    spaced = [
        word if starts_unspaced(before[0]) or starts_unspaced(word[0]) else f" {word}"
        for before, word in itertools.pairwise(words)
    ]
    return [*words[:1], *spaced]


@lru_cache(maxsize=4096)
def starts_unspaced(character: str) -> bool:
    """Tell whether a character is of a script without spaces between words."""
    return UNSPACED_CHARACTER.match(character) is not None
