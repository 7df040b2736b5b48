"""Pairs of texts as data have them, and the check that makes a table of the valid ones."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.common.console import stage
from tasks.common.data import cache
from tasks.common.data.division import divide
from tasks.common.data.grouping import pair_groups
from tasks.common.data.mapped_tables import MAX_ROWS_IN_MEMORY, make_table, map_table, row_ranges
from tasks.common.data.row_reports import MAX_LISTED, report_invalid_rows
from tasks.common.data.text_lines import TextLines
from tasks.common.data.text_problems import text_problem
from tasks.common.errors import UsageError
from tasks.common.files import load_json, save_json
from tasks.common.text.normalization import strip_newlines

if TYPE_CHECKING:
    import datasets
    import pyarrow

CHECK_VERSION = 1  # of the checked pairs that are cached; increase it when their checks or their form change


@functools.cache
def pair_columns() -> "pyarrow.Schema":
    """Return the columns of a table of pairs."""
    import pyarrow

    return pyarrow.schema(
        {"source": pyarrow.string(), "target": pyarrow.string(), "references": pyarrow.list_(pyarrow.string())}
    )


@dataclass(frozen=True)
class InnerColumn(Sequence[Any]):
    """The texts of a language in a column of dictionaries, which are read when they are asked for."""

    column: "datasets.Column"
    language: str

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, rows: Any) -> list[Any]:
        """Return the texts of several rows: a slice, or a list of their numbers."""
        return [pair and pair[self.language] for pair in self.column[rows]]


@dataclass(frozen=True)
class FoundPairs:
    """The pairs that data have for a split, unchanged and unchecked.

    Attributes:
        sources: The sources: lines of a file, or a column of a table. They are read in ranges, never all at once.
        targets: Their targets; a target may be a list of references.
        is_whole: Whether they are all pairs of data without splits, which are still to be divided.
        name: The name of the data in messages.
        key: A text that changes with the data.
    """

    sources: "TextLines | datasets.Column | InnerColumn"
    targets: "TextLines | datasets.Column | InnerColumn"
    is_whole: bool
    name: str
    key: str

    def rows_of(self, split: str) -> np.ndarray | range:
        """Return the numbers of the pairs of a split."""
        if not self.is_whole:
            return range(len(self.sources))
        return divide(pair_groups(self.sources, self.targets), split, self.name)


class PairCheck:
    """Cleans and checks pairs, a batch at a time, and keeps what is wrong with the first invalid ones."""

    def __init__(
        self,
        pairs: FoundPairs,
        rows: np.ndarray | range,
        source: str,
        target: str,
        clean: Callable[[str], str] = strip_newlines,
    ):
        """Keep the pairs.

        Args:
            pairs: The pairs. Of several references of a target the first one is trained on.
            rows: The numbers of those to use.
            source: The name of the sources in messages.
            target: The name of the targets in messages.
            clean: Applied to each text.
        """
        self.pairs, self.rows, self.source, self.target, self.clean = pairs, rows, source, target, clean
        self.num_invalid = 0
        self.problems: dict[int, str] = {}  # of the first invalid rows

    def valid_pairs(self, where: str, skip_invalid: bool) -> "datasets.Dataset":
        """Return the valid pairs, where they are many from a file in the cache.

        Args:
            where: The name of the data in messages.
            skip_invalid: Skip invalid rows.

        Returns:
            The columns source, target and references.

        Raises:
            UsageError: rows are invalid and may not be skipped, or none is valid.
        """
        if len(self.rows) <= MAX_ROWS_IN_MEMORY:
            table = make_table(pair_columns(), self.check())
        else:
            table = map_table(self.cache_name(), pair_columns(), self.check_and_report)
            report = load_json(self.report_file())
            self.num_invalid, self.problems = report["num_invalid"], {int(row): text for row, text in report["first"]}
        report_invalid_rows(self.problems, len(self.rows), where, skip_invalid, self.num_invalid)
        if not len(table):
            raise UsageError(f"{where}: no valid row is left")
        return table

    def cache_name(self) -> str:
        """Return the name of the cached file, which changes with the data and with all that the check depends on."""
        rows = repr(self.rows) if isinstance(self.rows, range) else hashlib.sha256(self.rows.tobytes()).hexdigest()
        clean = f"{self.clean.__module__}.{self.clean.__qualname__}"
        state = json.dumps([CHECK_VERSION, self.pairs.key, rows, self.source, self.target, clean])
        return f"pairs-{hashlib.sha256(state.encode()).hexdigest()[:24]}"

    def report_file(self) -> Path:
        """Return the file beside the cached one that tells what is wrong with the rows that are not in it."""
        return cache.cache_dir() / f"{self.cache_name()}.json"

    def check_and_report(self) -> "Iterator[pyarrow.RecordBatch]":
        """Check all pairs, and then save what is wrong with the invalid ones."""
        with stage("checking pairs of texts", len(self.rows)) as advance:
            for batch in self.check():
                yield batch
                advance(len(batch))
        save_json(self.report_file(), {"num_invalid": self.num_invalid, "first": list(self.problems.items())})

    def check(self) -> "Iterator[pyarrow.RecordBatch]":
        """Yield the valid pairs of each batch of rows."""
        import pyarrow

        for numbers in row_ranges(len(self.rows)):
            rows: Any = self.rows[numbers]
            rows = rows if isinstance(rows, range) else rows.tolist()
            chosen: Any = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
            valid = filter(None, map(self.check_pair, rows, self.pairs.sources[chosen], self.pairs.targets[chosen]))
            columns = list(zip(*valid, strict=True)) or [(), (), ()]
            yield pyarrow.record_batch([list(column) for column in columns], pair_columns())

    def check_pair(self, row: int, left: Any, right: Any) -> tuple[str, str, list[str]] | None:
        """Return the source, the target and the references of a pair; None, and note why, if it is invalid."""
        left, *references = (
            self.clean(text) if isinstance(text, str) else text
            for text in [left, *(right if isinstance(right, list) else [right])]
        )
        found = [f"({self.source}) {problem}" for problem in [text_problem(left)] if problem]
        found += [f"({self.target}) {problem}" for problem in map(text_problem, references or [None]) if problem]
        if not found:
            return left, references[0], references
        self.num_invalid += 1
        if len(self.problems) < MAX_LISTED:
            self.problems[row] = " and ".join(found)
        return None
