"""Normalization of texts, so that spellings that are to count as equal become equal."""

import re
import unicodedata
from typing import Literal

TextNormalization = Literal["none", "lowercase", "no_punctuation"]


def normalize_text(text: str, kind: TextNormalization) -> str:
    """Normalize a text.

    Args:
        text: The text.
        kind: ``none`` normalizes spaces only; ``lowercase`` also lower-cases and applies NFKC; ``no_punctuation``
            also removes punctuation. It keeps apostrophes within words, all written as ', splits words at hyphens,
            and treats letters with diacritics as letters.
    """
    if kind != "none":
        text = unicodedata.normalize("NFKC", text).lower()
    if kind == "no_punctuation":
        text = re.sub(r"(?<=\w)[’‘ʼ'](?=\w)", "\0", text)
        text = re.sub(r"[^\w\0\s]|[_ʼ]", lambda match: replace_non_word(match[0]), text).replace("\0", "'")
    return " ".join(text.split())


def replace_non_word(character: str) -> str:
    """Return the replacement of a character that is neither letter nor digit."""
    category = unicodedata.category(character)
    if category.startswith("M"):  # vowel signs of Hindi or Tamil, and diacritics that NFKC does not join to a letter
        return character
    return "" if category == "Cf" else " "  # format characters, soft hyphens for instance, appear inside words


def strip_newlines(text: str) -> str:
    """Replace line breaks by spaces, since files hold one sentence per line."""
    return re.sub(r"[\r\n]+", " ", text).strip()
