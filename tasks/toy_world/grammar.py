"""Grammars of English, German, French and Chinese for colored digits and their relations.

A noun phrase has two forms: plain, as a subject, and oblique, after a relation. German uses the dative there (über
einer roten Sieben), French "de" (au-dessus d'un sept rouge); in English and Chinese both forms are the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

COLORS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "white",
)  # easy to distinguish on a black background
SIZES = ("small", "medium", "large")  # medium is not mentioned: "a red seven"


@dataclass(frozen=True)
class Grammar:
    """The grammar of a language. Templates have the same order in all languages: the n-th ones are translations.

    Attributes:
        noun_phrase: Makes a noun phrase of digit, color, size, and whether it is oblique.
        conjunction: Joins two noun phrases.
        relations: Each relation, as described from the first side and from the second.
        verb: Its singular and its plural.
        single_templates: Descriptions of one object.
        relation_templates: Descriptions of one side's place relative to the other.
    """

    noun_phrase: Callable[[int, str, str, bool], str]
    conjunction: str
    relations: dict[str, tuple[str, str]]
    verb: tuple[str, str]
    single_templates: tuple[str, ...]
    relation_templates: tuple[str, ...]


def _words(keys: Iterable, words: str) -> dict:
    return dict(zip(keys, words.split(), strict=True))


_ENGLISH_DIGITS = _words(range(10), "zero one two three four five six seven eight nine")
_GERMAN_DIGITS = _words(range(10), "Null Eins Zwei Drei Vier Fünf Sechs Sieben Acht Neun")
_FRENCH_DIGITS = _words(range(10), "zéro un deux trois quatre cinq six sept huit neuf")
_CHINESE_DIGITS = _words(range(10), "零 一 二 三 四 五 六 七 八 九")
_GERMAN_COLORS = _words(COLORS, "rot orangefarben gelb grün blau lila rosa weiß")
_FRENCH_COLORS = _words(COLORS, "rouge orange jaune vert bleu violet rose blanc")
_CHINESE_COLORS = _words(COLORS, "红色 橙色 黄色 绿色 蓝色 紫色 粉色 白色")
_ENGLISH_SIZES = {"small": ["small"], "medium": [], "large": ["large"]}
_GERMAN_SIZES = {"small": ["klein"], "medium": [], "large": ["groß"]}
_FRENCH_SIZES = {"small": ["petit"], "medium": [], "large": ["grand"]}
_CHINESE_SIZES = {"small": "小的", "medium": "", "large": "大的"}


def _english(digit: int, color: str, size: str, oblique: bool) -> str:
    words = [*_ENGLISH_SIZES[size], color, _ENGLISH_DIGITS[digit]]
    return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])


def _german(digit: int, color: str, size: str, oblique: bool) -> str:
    # Digits are feminine: eine rote Sieben, über einer roten Sieben. lila and rosa are never inflected.
    article, ending = ("einer", "en") if oblique else ("eine", "e")
    stems = [*_GERMAN_SIZES[size], _GERMAN_COLORS[color]]
    adjectives = [stem if stem in ("lila", "rosa") else stem + ending for stem in stems]
    return " ".join([article, *adjectives, _GERMAN_DIGITS[digit]])


def _french(digit: int, color: str, size: str, oblique: bool) -> str:
    # Digits are masculine, the size precedes them and the color follows; "de un" is always elided.
    article = "d'un" if oblique else "un"
    return " ".join([article, *_FRENCH_SIZES[size], _FRENCH_DIGITS[digit], _FRENCH_COLORS[color]])


def _chinese(digit: int, color: str, size: str, oblique: bool) -> str:
    return f"一个{_CHINESE_SIZES[size]}{_CHINESE_COLORS[color]}的{_CHINESE_DIGITS[digit]}"


_EUROPEAN_TEMPLATES = (
    "{subject} {relation} {place}",
    "{subject} {verb} {relation} {place}.",
    "{relation} {place} {verb} {subject}.",
)
_CHINESE_TEMPLATES = (
    "{subject}在{place}{relation}",
    "{subject}{verb}{place}的{relation}。",
    "{place}{relation}有{subject}。",
)

GRAMMARS = {
    "en": Grammar(
        noun_phrase=_english,
        conjunction=" and ",
        relations={"above": ("above", "below"), "left": ("to the left of", "to the right of")},
        verb=("stands", "stand"),
        single_templates=("{subject}", "here is {subject}.", "we see {subject}."),
        relation_templates=_EUROPEAN_TEMPLATES,
    ),
    "de": Grammar(
        noun_phrase=_german,
        conjunction=" und ",
        relations={"above": ("über", "unter"), "left": ("links von", "rechts von")},
        verb=("steht", "stehen"),
        single_templates=("{subject}", "hier ist {subject}.", "wir sehen {subject}."),
        relation_templates=_EUROPEAN_TEMPLATES,
    ),
    "fr": Grammar(
        noun_phrase=_french,
        conjunction=" et ",
        relations={"above": ("au-dessus", "au-dessous"), "left": ("à gauche", "à droite")},
        verb=("se trouve", "se trouvent"),
        single_templates=("{subject}", "voici {subject}.", "nous voyons {subject}."),
        relation_templates=_EUROPEAN_TEMPLATES,
    ),
    "zh": Grammar(
        noun_phrase=_chinese,
        conjunction="和",
        relations={"above": ("上面", "下面"), "left": ("左边", "右边")},
        verb=("位于", "位于"),
        single_templates=("{subject}", "这里有{subject}。", "我们看到{subject}。"),
        relation_templates=_CHINESE_TEMPLATES,
    ),
}
