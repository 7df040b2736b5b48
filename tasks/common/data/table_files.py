"""One table in a file: CSV, JSON lines, JSON, Parquet, or a tar of media with texts.

Text is read without guesses: every column of a CSV is text, also "null", "007" and "2020-01-01".
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.console import warn_once
from tasks.common.data import cache
from tasks.common.data.folders import divide_lines, read_text
from tasks.common.data.headers import KnownColumns, has_sentences, number_columns
from tasks.common.data.mapped_tables import map_table
from tasks.common.data.tar_tables import read_tar
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".tar")
DELIMITERS = (",", ";", "\t")  # of .csv: some spreadsheets write another than a comma
MAX_SHOWN = 60  # characters of a first line in a note
MAX_FIELD_SIZE = 2**31 - 1
ROWS_PER_CHUNK = 20_000  # that become Arrow at a time, which for a moment takes several times their memory
LINE_END, LINE_FEED = re.compile("\r\n|\r|\n"), re.compile("\n")


def read_file(file: Path, known: KnownColumns | None = None) -> "datasets.Dataset":
    """Read all rows of one table: .jsonl, .json, .csv, .tsv, .parquet or .tar. ``known``: see ``read_csv``.

    Raises:
        UsageError: it is no such table, or is broken or empty.
    """
    import pyarrow

    match file.suffix.lower():
        case ".csv" | ".tsv":
            table = columns_to_table(read_csv(file, known), file)
        case ".jsonl" | ".json":
            table = columns_to_table(read_json(file), file)
        case ".parquet":
            try:
                table = read_parquet(file)
            except (pyarrow.ArrowException, OSError, ValueError) as error:
                raise UsageError(f"{file} is not a readable Parquet file ({first_line(error)})") from error
        case ".tar":
            table = read_tar(file)
        case _:
            raise UsageError(f"{file} is no table; allowed are {', '.join(TABLES)}, or a folder")
    if not len(table):
        raise UsageError(f"{file} is empty: it has no rows")
    return table


def read_files(files: Sequence[Path], known: KnownColumns | None = None) -> "datasets.Dataset":
    """Read the rows of one table in several files, its shards. Raises UsageError if their columns differ."""
    import datasets

    tables = [read_file(file, known) for file in files]
    for file, table in zip(files, tables, strict=True):
        if table.features != tables[0].features:
            raise UsageError(
                f"{file} has other columns than {files[0].name}: {describe_columns(table)} instead of "
                f"{describe_columns(tables[0])}; shards of a table must have the same"
            )
    return tables[0] if len(tables) == 1 else datasets.concatenate_datasets(tables)


def describe_columns(table: "datasets.Dataset") -> str:
    """Name the columns of a table with their types."""
    return ", ".join(f"{name} ({getattr(each, 'dtype', type(each).__name__)})" for name, each in table.features.items())


def read_parquet(file: Path) -> "datasets.Dataset":
    """Read a table through an uncompressed copy in the cache, which is never in memory as a whole."""
    import pyarrow.parquet

    source = pyarrow.parquet.ParquetFile(file)
    key = hashlib.sha256(cache.file_key(file).encode()).hexdigest()[:24]
    return map_table(f"parquet-{key}", source.schema_arrow, lambda: source.iter_batches(batch_size=1000))


def read_csv(file: Path, known: KnownColumns | None = None) -> dict[str, list[str]]:
    """Read the columns of a table, all as text; columns without a name are left out.

    Where the first line is no header the columns are "column 1", "column 2" and so on.

    Args:
        file: The table.
        known: What is known of its columns; None: the first line is a header unless it reads like sentences.

    Raises:
        UsageError: a row has more fields than the header, or a quotation mark is not closed.
    """
    rows = csv_rows(file)
    try:
        first = next(rows, [])
        columns: list[list[str]] = [[] for _ in first]
        for row in rows:
            if any(row[len(first) :]):  # empty ones are written by some programs
                raise UsageError(
                    f"{file}, line {rows.line_num}: {len(row)} fields where the header has {len(first)}; write text "
                    f"with {rows.dialect.delimiter!r} in quotation marks"
                )
            if row:
                for number, column in enumerate(columns):
                    column.append(row[number] if number < len(row) else "")
    except csv.Error as error:
        raise UsageError(f"{file}, line {rows.line_num}: not valid CSV ({error})") from error
    header = [name.strip() for name in first]
    is_header = known.decide(header, columns) if known is not None else not has_sentences(header)
    if known is not None and not is_header:
        tell_header(file, header, is_header)
    if is_header is False:
        header, columns = (
            number_columns(len(first)),
            [[name, *column] for name, column in zip(first, columns, strict=True)],
        )
    check_names(header, file)
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise UsageError(f"{file} has two columns of the same name; its header is {', '.join(header)}")
    return {name: column for name, column in zip(header, columns, strict=True) if name}


def tell_header(file: Path, first: list[str], is_header: bool | None) -> None:
    """Tell how the first line of a table of pairs is read, where it is no header or may be none (None)."""
    line = ", ".join(first)
    shown = line if len(line) <= MAX_SHOWN else f"{line[: MAX_SHOWN - 1]}…"
    if is_header is False:
        decision = "a row; if it is the header, name its columns with --source and --target"
    else:
        decision = "the header; if it is a row, name the columns with --source 'column 1' --target 'column 2'"
    warn_once(f"{file}: the first line ({shown}) is read as {decision}")


def read_header(file: Path) -> list[str]:
    """Return the fields of the first line of a CSV, which may be no header; none if it can't be read."""
    try:
        return [name.strip() for name in next(csv_rows(file), [])]
    except csv.Error:
        return []


def csv_rows(file: Path) -> Any:
    """Return the reader of the rows of a CSV, or of a text file with tabs, where quotation marks are part of texts."""
    text = read_text(file)
    header_line = next(divide_lines(text, LINE_FEED), "").removesuffix("\n")
    is_tsv = file.suffix.lower() == ".tsv" or (file.suffix.lower() == ".txt" and "\t" in header_line)
    delimiter = "\t" if is_tsv else max(DELIMITERS, key=header_line.count)
    csv.field_size_limit(MAX_FIELD_SIZE)
    quoting = csv.QUOTE_NONE if is_tsv else csv.QUOTE_MINIMAL
    return csv.reader(divide_lines(text, LINE_END), delimiter=delimiter, quoting=quoting, strict=True)


def read_json(file: Path) -> dict[str, list[Any]]:
    """Read the columns of a file with one JSON object per line, or a list of objects.

    Raises:
        UsageError: it is broken, or holds anything else.
    """
    text = read_text(file)
    is_list = text.lstrip().startswith("[")
    columns: dict[str, list[Any]] = {}
    num_rows = 0
    for number, part in enumerate([text] if is_list else divide_lines(text, LINE_FEED), 1):
        part = part.removesuffix("\n")
        try:
            rows = json.loads(part) if is_list else [json.loads(part)] if part.strip() else []
        except (ValueError, RecursionError) as error:
            place = "" if is_list else f", line {number}"
            raise UsageError(f"{file}{place}: not valid JSON ({error}); one object per line is expected") from error
        for row in rows:
            if not isinstance(row, dict):
                raise UsageError(
                    f"{file} holds other JSON than objects; one object per line, or a list of them, is expected"
                )
            for name in row:
                if name not in columns:
                    columns[name] = [None] * num_rows
            for name, column in columns.items():
                column.append(row.get(name))
            num_rows += 1
    check_names(columns, file)
    return columns


def check_names(names: Iterable[str], file: Path) -> None:
    """Check the names of a table's columns. Raises UsageError for a NUL character, at which Arrow ends them."""
    for name in names:
        if "\0" in name:
            raise UsageError(f"{file}: the name of the column {name} has a NUL character: remove it")


def columns_to_table(columns: dict[str, list[Any]], file: Path) -> "datasets.Dataset":
    """Make a table of columns. Raises UsageError if the values of a column are of several types."""
    import datasets
    import pyarrow

    types = []
    for name, values in columns.items():
        try:
            types.append((name, pyarrow.array(values).type))
        except (pyarrow.ArrowException, OverflowError, UnicodeError) as error:
            raise UsageError(f"{file}: the column {name} can't be read ({first_line(error)})") from error
    features = datasets.Features.from_arrow_schema(pyarrow.schema(types))
    num_rows = len(next(iter(columns.values()), []))
    chunks = [
        datasets.Dataset.from_dict(
            {name: values[start : start + ROWS_PER_CHUNK] for name, values in columns.items()}, features
        )
        for start in range(0, max(1, num_rows), ROWS_PER_CHUNK)
    ]
    return datasets.concatenate_datasets(chunks)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
