"""Pairs of texts: from parallel files, tables, or the hub."""

import codecs
import dataclasses
import functools
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.common.console import stage
from tasks.common.data import cache
from tasks.common.data.division import divide
from tasks.common.data.folders import visible_paths
from tasks.common.data.grouping import pair_groups
from tasks.common.data.headers import KnownColumns
from tasks.common.data.limits import MAX_CHARACTERS
from tasks.common.data.mapped_tables import MAX_ROWS_IN_MEMORY, make_table, map_table, row_ranges, table_key
from tasks.common.data.row_reports import MAX_LISTED, report_invalid_rows
from tasks.common.data.splits import SPLITS, has_splits
from tasks.common.data.table_files import TABLES
from tasks.common.data.tables import find_table, local_columns
from tasks.common.data.text_lines import TextLines
from tasks.common.errors import MissingSplitError, UsageError, unknown_name
from tasks.common.files import load_json, save_json
from tasks.common.text.normalization import strip_newlines

if TYPE_CHECKING:
    import datasets
    import pyarrow

SOURCE_NAMES = {"source", "src", "input", "question", "prompt", "document", "article", "text", "body", "original"}
TARGET_NAMES = {"target", "tgt", "output", "answer", "response", "reply", "summary", "highlights", "headline", "title"}
TARGET_NAMES |= {"translation", "reference"}
CHECK_VERSION = 1  # of the checked pairs that are cached; increase it when their checks or their form change
NO_TEXT = {"id", "idx", "index", "no", "nr", "number", "split", "score", "license"}  # columns beside the texts
DOCUMENTS, NOTICES = (".md", ".pdf", ".html", ".zip", ".gz", ".py"), {"README", "LICENSE", "LICENCE"}


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


def load_pairs(
    data: str, split: str, source: str, target: str, skip_invalid: bool, clean: Callable[[str], str] = strip_newlines
) -> "datasets.Dataset":
    """Load the pairs of a split.

    Args:
        data: A table, a folder, the beginning of the names of two files, or a hub id.
        split: train, validation or test.
        source: The ending of the source file, or the column of the sources.
        target: The same for the targets.
        skip_invalid: Skip invalid rows.
        clean: Applied to each text.

    Returns:
        The columns source, target and references.

    Raises:
        UsageError: the split or a column does not exist, or rows are invalid.
    """
    pairs = find_pairs(data, split, source, target)
    if pairs is None:
        names = " or ".join(f"{name}.{source} and {name}.{target}" for name in SPLITS[split])
        raise MissingSplitError(
            f"--data {data} has no {split} split: neither {names}, nor a table like {split}.jsonl, nor two files or a "
            f"table without splits{endings_hint(data)}"
        )
    try:
        check = PairCheck(pairs, pairs.rows_of(split), source, target, clean)
        return check.valid_pairs(f"{data}, {split}", skip_invalid)
    except UnicodeDecodeError as error:  # Arrow does not check what it maps
        raise UsageError(f"--data {data}: {split} is not valid UTF-8 ({error}); save it as UTF-8") from error


def endings_hint(data: str) -> str:
    """List the endings of text files in a folder, for an error message."""
    endings = unsplit_files(data)
    return f"; the endings there are {', '.join(endings)}: name two with --source and --target" if endings else ""


def find_pairs(data: str, split: str, source: str, target: str) -> FoundPairs | None:
    """Find the pairs that data have for a split; None if there is no such split."""
    files = unsplit_files(data)
    if source in files and target in files:
        pairs = read_parallel_files(files[source], files[target])
        return dataclasses.replace(pairs, is_whole=True, name=f"{files[source]}, {files[target].name}")
    pairs = read_parallel(Path(data), split, source, target)
    if pairs is not None:
        return dataclasses.replace(pairs, name=data)
    table = find_table(data, split, known_columns(source, target))
    if table is None:
        return None
    columns = get_column(table.rows, source, data), get_column(table.rows, target, data)
    return FoundPairs(*columns, table.is_whole, data, f"{table_key(table.rows)} {source!a} {target!a}")


def read_parallel(folder: Path, split: str, source: str, target: str) -> FoundPairs | None:
    """Read two files with one sentence per line, like ``train.de`` and ``train.en``; None if there are none."""
    for name in SPLITS[split]:
        files = folder / f"{name}.{source}", folder / f"{name}.{target}"
        exist = [file.is_file() for file in files]
        if any(exist) and not all(exist):
            missing, other = files if exist[1] else files[::-1]
            raise UsageError(f"{missing} is missing, while {other} exists; --source and --target name the two endings")
        if all(exist):
            return read_parallel_files(*files)
    return None


def read_parallel_files(source: Path, target: Path) -> FoundPairs:
    """Read two files with one sentence per line. Raises UsageError if one is empty or longer than the other."""
    left, right = TextLines(source), TextLines(target)
    if not left or not right:
        raise UsageError(f"{source if not left else target} is empty; one sentence per line is expected")
    if len(left) != len(right):
        raise UsageError(f"{source} has {len(left)} lines and {target} has {len(right)}: they must be parallel")
    return FoundPairs(left, right, False, str(source), f"{cache.file_key(source)} {cache.file_key(target)}")


def unsplit_files(data: str) -> dict[str, Path]:
    """Find the text files of data without splits: ``corpus.de``, ``corpus.de.txt`` or ``de.txt`` is the file of de.

    Args:
        data: Their folder, or the beginning of their names, like ``FOLDER/corpus``.

    Returns:
        The file of each ending; nothing if there are splits. Endings of several files are left out.
    """
    place = Path(data)
    if place.is_dir():
        paths = [] if has_splits(place) else visible_paths(place)
    elif place.parent.is_dir() and not place.exists():
        paths = [path for path in visible_paths(place.parent) if path.name.startswith(f"{place.name}.")]
    else:
        paths = []
    found: dict[str, list[Path]] = {}
    for path in paths:
        if path.is_file() and path.suffix.lower() not in (*TABLES, *DOCUMENTS) and path.stem not in NOTICES:
            found.setdefault(path.name.removesuffix(".txt").rpartition(".")[2], []).append(path)
    return {ending: files[0] for ending, files in found.items() if len(files) == 1}


def known_columns(source: str, target: str) -> KnownColumns:
    """Return what is known of the columns of pairs whose columns are chosen by ``source`` and ``target``."""
    return KnownColumns((source, target), frozenset(SOURCE_NAMES | TARGET_NAMES | NO_TEXT))


def pair_names(data: str, source: str, target: str) -> list[str]:
    """List the names that source and target can have in data on this machine: columns, or endings of files.

    ``source`` and ``target`` are the names in the configuration, which may be those of other data.
    """
    place = Path(data)
    for name in SPLITS["train"] if place.is_dir() else ():
        files = [path for path in visible_paths(place) if path.stem == name and path.suffix not in TABLES]
        endings = [path.suffix.removeprefix(".") for path in files if path.is_file()]
        if len(endings) > 1:
            return endings
    files = unsplit_files(data)
    return list(files) if len(files) > 1 else local_columns(place, known_columns(source, target))


def guess_pair(names: list[str], source: str, target: str) -> tuple[str, str] | None:
    """Choose the names of source and target among those that data have; None if they can't be guessed.

    Args:
        names: The columns, or the endings of files, in their order.
        source: The name of the source, taken if it exists.
        target: The same for the target, if it is another one.
    """
    if "translation" in names or (source != target and {source, target} <= {*names}):
        return source, target
    names = [name for name in names if name.lower() not in NO_TEXT]
    target = "" if source == target else target
    sources = [source] if source in names else [name for name in names if name.lower() in SOURCE_NAMES]
    targets = [target] if target in names else [name for name in names if name.lower() in TARGET_NAMES]
    if len(names) == 2:
        sources = sources or [name for name in names if name not in targets][:1]
        targets = targets or [name for name in names if name not in sources][:1]
    return (sources[0], targets[0]) if len(sources) == len(targets) == 1 and sources != targets else None


def read_lines(content: bytes) -> list[str]:
    """Split UTF-8 text at line feeds alone. ``text_problem`` detects lines that are not UTF-8."""
    return list(decode_lines(io.BytesIO(content)))


def decode_lines(file: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of an open file as ``read_lines`` returns them, one after another."""
    for number, line in enumerate(file):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
        if text:  # a mark alone is no line
            yield text.removesuffix(b"\n").decode("utf-8", errors="replace")


def get_column(table: "datasets.Dataset", name: str, data: str) -> "datasets.Column | InnerColumn":
    """Return a column by its name, also from inside the ``translation`` column of the hub's parallel corpora."""
    columns: Any = table  # whose types do not tell a column from its values
    if name in table.column_names:
        return columns[name]
    inner = table.features["translation"] if "translation" in table.column_names else {}
    languages = getattr(inner, "languages", None) or (list(inner) if isinstance(inner, dict) else [])
    if name in languages:
        return InnerColumn(columns["translation"], name)
    raise unknown_name("column", name, [*table.column_names, *languages], f"--source and --target name those of {data}")


def text_problem(text: object) -> str | None:
    """Describe why a sentence is invalid; None if it is valid."""
    if text is None or text == "":
        return "is empty"
    if not isinstance(text, str):
        return f"is not a text but {type(text).__name__}"
    if len(text) > MAX_CHARACTERS:
        return f"has {len(text):,} characters; at most {MAX_CHARACTERS:,} are allowed"
    if "\0" in text:
        return "contains a NUL character"
    # Surrogates are Python's signs for bytes of an argument that are not UTF-8.
    if re.search("[\ufffd\ud800-\udfff]", text):
        return "is not valid UTF-8"
    return None


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
