"""Tell the header of a CSV from a first line that is a row like the others."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_NAME_WORDS = 5  # no name of a column has more
LANGUAGE_CODE = re.compile(r"[a-z]{2}([-_]\w+)?")  # as en or zh_CN, which may also be a word
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


@dataclass(frozen=True)
class KnownColumns:
    """The columns of pairs of texts, as far as they are known before their table is read.

    Attributes:
        chosen: The names that --source and --target have; those of a table without a header are "column 1" and so on.
        usual: Other names by which a header is recognized, in lower case.
    """

    chosen: tuple[str, ...]
    usual: frozenset[str]

    def decide(self, first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool | None:
        """Tell whether the first line of a table is its header; None if that can't be known.

        It is a row if every text in it occurs again in another row of its column, as a word or several: a column's name
        hardly ever occurs in all of the columns.

        Args:
            first: The fields of the first line.
            columns: The columns below it.
        """
        if not {*self.chosen}.isdisjoint(first):
            return True
        if not {*self.chosen}.isdisjoint(number_columns(len(first))) or has_sentences(first):
            return False
        if any(not field or field.lower() in self.usual or LANGUAGE_CODE.fullmatch(field) for field in first):
            return True
        others = [row for row in zip(*columns, strict=True) if [field.strip() for field in row] != [*first]]
        if others and all(map(occurs_in, first, zip(*others, strict=True))):
            return False
        return None


def number_columns(count: int) -> list[str]:
    """Return the names of the columns of a table without a header."""
    return [f"column {number}" for number in range(1, count + 1)]


def has_sentences(fields: Sequence[str]) -> bool:
    """Tell whether the first line of a table is no header: a field is a sentence, or all end like "Go." and "Va !"."""
    all_end = len(fields) > 1 and all(field.endswith(tuple(".!?…。！？")) for field in fields)
    return all_end or any(map(is_sentence, fields))


def is_sentence(field: str) -> bool:
    """Tell whether a text is what no name of a column is: many words, or several with the end of a sentence."""
    words = len(field.split())
    return words > MAX_NAME_WORDS or field.endswith(tuple("。！？")) or (words > 1 and field.endswith(tuple(".!?…")))


def occurs_in(field: str, column: Sequence[str]) -> bool:
    """Tell whether a text occurs in a column as a word or several, or is a number like all others there."""
    if NUMBER.fullmatch(field):
        return all(NUMBER.fullmatch(other.strip()) for other in column)
    return re.search(rf"(?<!\w){re.escape(field)}(?!\w)", "\n".join(column)) is not None
