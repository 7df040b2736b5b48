"""Words and n-grams of free text in any script."""

import unicodedata
from collections.abc import Sequence

import regex

# Scripts without spaces between words: each of their characters, with its vowel signs, counts as a word.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = regex.compile(rf"(?V1)[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}]--[{UNSPACED}]]+")


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
