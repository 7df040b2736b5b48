"""What counts as the same transcript."""

import re
import unicodedata
from typing import Literal

TextNormalization = Literal["raw", "lower", "plain"]


def normalize_text(text: str, kind: TextNormalization) -> str:
    """``raw``: only spaces are tidied; ``lower``: lower-cased, in NFKC; ``plain``: without punctuation as well.

    Apostrophes within words stay, all written as ', hyphens part words, and letters with diacritics are letters.
    """
    if kind != "raw":
        text = unicodedata.normalize("NFKC", text).lower()
    if kind == "plain":
        text = re.sub(r"(?<=\w)[’‘ʼ'](?=\w)", "\0", text)
        text = re.sub(r"[^\w\0]|[_ʼ]", lambda sign: stand_in(sign[0]), text).replace("\0", "'")
    return " ".join(text.split())


def stand_in(sign: str) -> str:
    """What a character that is neither letter nor digit leaves behind in plain text."""
    category = unicodedata.category(sign)
    if category.startswith("M"):  # vowel signs of Hindi or Tamil, and diacritics that NFKC does not join to a letter
        return sign
    return "" if category == "Cf" else " "  # format characters, soft hyphens for instance, stand inside words
