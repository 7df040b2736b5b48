"""Chinese verse as modern Mandarin says it: characters, rhymes, tones.

Classical verse was written for another pronunciation, so also its masters' rhymes and tones do not all hold here.
"""

import re
from functools import cache
from itertools import pairwise

from pypinyin import Style, pinyin

LINE = "/"  # between the lines of a poem that is written as one
HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff〇]")
BETWEEN = re.compile(r"[\s/，。！？；：、,.!?;:…—“”‘’「」『』（）()《》]+")
# The thirteen rhymes of Mandarin (shisan zhe), by their finals: a medial changes nothing.
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


def lines_of(text: str) -> list[str]:
    """The lines of a poem: Chinese ones end at any punctuation, others at a slash or a line break."""
    cut = BETWEEN.split(text) if HAN.search(text) else re.split(r"\s*[/\r\n]+\s*", text)
    return [line for line in cut if any(map(str.isalnum, line))]


def size(text: str) -> int:
    """How many Chinese characters there are."""
    return len(HAN.findall(text))


@cache
def rhyme(character: str) -> int | None:
    """Which of the thirteen rhymes a character has; None for what has none."""
    final = pinyin(character, style=Style.FINALS, strict=True, errors="ignore", neutral_tone_with_five=True)
    if not final:
        return None
    return next((number for number, finals in enumerate(RHYMES) if final[0][0] in finals), None)


@cache
def tone(character: str) -> str | None:
    """Whether a character is level (first and second tone) or oblique."""
    spoken = pinyin(character, style=Style.TONE3, errors="ignore", neutral_tone_with_five=True)
    mark = spoken[0][0][-1:] if spoken else ""
    return LEVEL if mark in ("1", "2") else OBLIQUE if mark in ("3", "4") else None


def alternates(line: str) -> bool:
    """Whether the second, fourth and sixth character change between level and oblique, as regulated verse asks."""
    tones = [tone(character) for character in line[1::2]]
    return None not in tones and all(one != other for one, other in pairwise(tones))
