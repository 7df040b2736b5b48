"""Reports on the rows of a data set before training: all invalid ones at once, and notes on valid ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.common.console import warn_once
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

MAX_LISTED = 8  # rows that a message names


def number_rows(table: "datasets.Dataset") -> "datasets.Dataset":
    """Add the column row, by which ``row_numbers`` knows the rows when some have been selected."""
    return table.add_column("row", list(range(len(table))))


def row_numbers(table: "datasets.Dataset") -> Sequence[int]:
    """Return the numbers of rows in the user's data: the column row of a table that is a part of them."""
    return table["row"] if "row" in table.column_names else range(len(table))


def report_invalid_rows(
    problems: Mapping[int, str], total: int, where: str, skip: bool, num_invalid: int | None = None
) -> None:
    """Report all invalid rows at once.

    Args:
        problems: What is wrong with each invalid row, by its number in the user's data, from 0.
        total: The number of all rows.
        where: The name of the data in the message.
        skip: Whether invalid rows are allowed and will be skipped.
        num_invalid: The number of invalid rows, where ``problems`` has the first of them alone.

    Raises:
        UsageError: there are invalid rows, and they may not be skipped.
    """
    if not problems:
        return
    count = len(problems) if num_invalid is None else num_invalid
    listing = f"{where}: {count} of {total} rows are invalid: {list_rows(problems, count)}"
    if not skip:
        raise UsageError(f"{listing}. Fix them or skip them with --skip-invalid")
    warn_once(f"{listing}. They are skipped.")


def report_notes(notes: Mapping[int, str], total: int, where: str) -> None:
    """Report what is to be said of valid rows, such as damage, by their numbers from 0."""
    if notes:
        warn_once(f"{where}: {len(notes)} of {total} rows are used in part: {list_rows(notes)}")


def list_rows(texts: Mapping[int, str], count: int | None = None) -> str:
    """List the first rows, by their numbers from 0, with what is to be said of each; ``count`` is that of all rows."""
    listed = [f"row {row + 1} {text}" for row, text in sorted(texts.items())[:MAX_LISTED]]
    count = len(texts) if count is None else count
    more = f" and {count - len(listed)} more" if count > len(listed) else ""
    return f"{'; '.join(listed)}{more}"
