"""Words and n-grams of free text in any script."""

import itertools
import unicodedata
from collections.abc import Sequence

import regex

# Scripts without spaces between words: each of their characters, with its vowel signs, counts as a word.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = regex.compile(rf"(?V1)[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}]--[{UNSPACED}]]+")

STARTS_UNSPACED = regex.compile(rf"(?V1)[{UNSPACED}]")
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
    parts = list(words[:1])
    for before, word in itertools.pairwise(words):
        is_spaced = not (STARTS_UNSPACED.match(before) or STARTS_UNSPACED.match(word))
        parts.append(f" {word}" if is_spaced else word)
    return "".join(parts)
