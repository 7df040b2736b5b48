"""Chinese verse in the pronunciation of modern Mandarin: characters, lines, rhymes, tones.

Classical verse was written for another pronunciation, so not all rhymes and tones of its authors hold here.
"""

import re
from functools import cache
from itertools import pairwise

from pypinyin import Style, pinyin

LINE_SEPARATOR = "/"  # between the lines of a poem in one string
HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff〇]")
PUNCTUATION = re.compile(r"[\s/，。！？；：、,.!?;:…—“”‘’「」『』（）()《》]+")
# The thirteen rhymes of Mandarin (shisan zhe) by their finals; a medial changes nothing.
RHYMES = (
    {"a", "ia", "ua"},
    {"o", "e", "uo"},
    {"ie", "ve", "ue", "ê"},
    {"u"},
    {"i", "v", "er"},
    {"ai", "uai"},
    {"ei", "uei", "ui"},
    {"ao", "iao"},
    {"ou", "iou", "iu"},
    {"an", "ian", "uan", "van"},
    {"en", "in", "uen", "un", "vn"},
    {"ang", "iang", "uang"},
    {"eng", "ing", "ueng", "ong", "iong"},
)
LEVEL, OBLIQUE = "ping", "ze"


def split_lines(text: str) -> list[str]:
    """Split a poem into lines: Chinese ones at any punctuation, others at a slash or a line break."""
    lines = PUNCTUATION.split(text) if HAN.search(text) else re.split(r"\s*[/\r\n]+\s*", text)
    return [line for line in lines if any(map(str.isalnum, line))]


def num_characters(text: str) -> int:
    """Count the Chinese characters of a text."""
    return len(HAN.findall(text))


@cache
def rhyme_class(character: str) -> int | None:
    """Return the index of a character's rhyme in ``RHYMES``; None for characters without a rhyme."""
    final = pinyin(character, style=Style.FINALS, strict=True, errors="ignore", neutral_tone_with_five=True)
    if not final:
        return None
    return next((index for index, finals in enumerate(RHYMES) if final[0][0] in finals), None)


@cache
def tone_class(character: str) -> str | None:
    """Return whether a character is level (first and second tone) or oblique; None for the neutral tone or none."""
    syllables = pinyin(character, style=Style.TONE3, errors="ignore", neutral_tone_with_five=True)
    mark = syllables[0][0][-1:] if syllables else ""
    return LEVEL if mark in ("1", "2") else OBLIQUE if mark in ("3", "4") else None


def tones_alternate(line: str) -> bool:
    """Tell whether the second, fourth and sixth character change between level and oblique, as in regulated verse."""
    tones = [tone_class(character) for character in line[1::2]]
    return None not in tones and all(tone != following for tone, following in pairwise(tones))
