"""The rows of a split: from a table, a folder of tables, or the hub; and the report of invalid rows.

Tables in text form are read here, without guesses: every column of a CSV is text, also "null", "007" and "2020-01-01".
"""

import csv
import hashlib
import io
import itertools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets.config
import huggingface_hub
import pyarrow
import pyarrow.ipc
import pyarrow.parquet

from encoders.pretrained.downloads import hub_advice, hub_fault, is_missing_path
from tasks.common.console import stage, warn_once
from tasks.common.data import cache
from tasks.common.data.folders import read_text, visible_files, visible_paths
from tasks.common.data.splits import SPLITS, divide, has_splits
from tasks.common.errors import UsageError
from tasks.common.files import save_atomically

TABLES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
DELIMITERS = (",", ";", "\t")  # of .csv: some spreadsheets write another than a comma
SENTENCE = re.compile(r"\s.*[.!?…]$|[。！？]$|(\S+\s+){5}")  # which no name of a column is
MAX_FIELD_SIZE = 2**31 - 1

datasets.disable_progress_bars()
datasets.logging.set_verbosity_error()


def read_file(file: Path) -> datasets.Dataset:
    """Read all rows of one table: .jsonl, .json, .csv, .tsv or .parquet.

    Raises:
        UsageError: it is no such table, or is broken or empty.
    """
    match file.suffix.lower():
        case ".csv" | ".tsv":
            table = datasets.Dataset.from_dict(read_csv(file))
        case ".jsonl" | ".json":
            table = columns_to_table(read_json(file), file)
        case ".parquet":
            try:
                table = read_parquet(file)
            except (pyarrow.ArrowException, OSError, ValueError) as error:
                raise UsageError(f"{file} is not a readable Parquet file ({first_line(error)})") from error
        case _:
            raise UsageError(f"{file} is no table; allowed are {', '.join(TABLES)}, or a folder")
    if not len(table):
        raise UsageError(f"{file} is empty: it has no rows")
    return table


def read_parquet(file: Path) -> datasets.Dataset:
    """Read a table through an uncompressed copy in the cache, which is never in memory as a whole."""
    key = hashlib.sha256(cache.file_key(file).encode()).hexdigest()[:24]
    copy = Path(cache.cached_file(f"parquet-{key}"))
    if not copy.is_file():
        source = pyarrow.parquet.ParquetFile(file)

        def write(path: Path) -> None:
            with pyarrow.ipc.new_stream(str(path), source.schema_arrow) as stream:
                for batch in source.iter_batches(batch_size=1000):
                    stream.write_batch(batch)

        save_atomically(copy, write)
    return datasets.Dataset.from_file(str(copy))


def read_csv(file: Path) -> dict[str, list[str]]:
    """Read the columns of a table, all as text; columns without a name are left out.

    Where the first line reads like sentences it is no header: the columns are "column 1", "column 2" and so on.

    Raises:
        UsageError: a row has more fields than the header, or a quotation mark is not closed.
    """
    text = read_text(file)
    is_tsv = file.suffix.lower() == ".tsv"
    header_line = text.partition("\n")[0]
    delimiter = "\t" if is_tsv else max(DELIMITERS, key=header_line.count)
    csv.field_size_limit(MAX_FIELD_SIZE)
    quoting = csv.QUOTE_NONE if is_tsv else csv.QUOTE_MINIMAL
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        first = next(rows, [])
        header = [name.strip() for name in first]
        given = rows
        if any(SENTENCE.search(name) for name in header):
            header, given = [f"column {number}" for number in range(1, len(first) + 1)], itertools.chain([first], rows)
        columns: list[list[str]] = [[] for _ in header]
        for row in given:
            if any(row[len(header) :]):  # empty ones are written by some programs
                raise UsageError(
                    f"{file}, line {rows.line_num}: {len(row)} fields where the header has {len(header)}; write text "
                    f"with {delimiter!r} in quotation marks"
                )
            if row:
                for number, column in enumerate(columns):
                    column.append(row[number] if number < len(row) else "")
    except csv.Error as error:
        raise UsageError(f"{file}, line {rows.line_num}: not valid CSV ({error})") from error
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise UsageError(f"{file} has two columns of the same name; its header is {', '.join(header)}")
    return {name: column for name, column in zip(header, columns, strict=True) if name}


def read_json(file: Path) -> dict[str, list[Any]]:
    """Read the columns of a file with one JSON object per line, or a list of objects.

    Raises:
        UsageError: it is broken, or holds anything else.
    """
    text = read_text(file)
    is_list = text.lstrip().startswith("[")
    rows = []
    for number, part in enumerate([text] if is_list else text.split("\n"), 1):
        try:
            rows += json.loads(part) if is_list else [json.loads(part)] if part.strip() else []
        except (ValueError, RecursionError) as error:
            place = "" if is_list else f", line {number}"
            raise UsageError(f"{file}{place}: not valid JSON ({error}); one object per line is expected") from error
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{file} holds other JSON than objects; one object per line, or a list of them, is expected")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def columns_to_table(columns: dict[str, list[Any]], file: Path) -> datasets.Dataset:
    """Make a table of columns. Raises UsageError if the values of a column are of several types."""
    for name, values in columns.items():
        try:
            pyarrow.array(values)
        except (pyarrow.ArrowException, OverflowError, UnicodeError) as error:
            raise UsageError(f"{file}: the column {name} can't be read ({first_line(error)})") from error
    return datasets.Dataset.from_dict(columns)


def read_metadata(folder: Path) -> tuple[list[str], datasets.Dataset] | None:
    """Read metadata.jsonl or metadata.csv of a folder of media files.

    Returns:
        The paths of the files, and the other columns; None if there is no such file.

    Raises:
        UsageError: there is no column file_name.
    """
    for file in (folder / "metadata.jsonl", folder / "metadata.csv"):
        if file.is_file() and not is_listing(file):
            table = read_file(file)
            if "file_name" not in table.column_names:
                raise UsageError(f"{file} has no column file_name; it has {', '.join(table.column_names)}")
            paths = [str(folder / str(inner).replace("\\", "/")) for inner in table["file_name"]]
            return paths, table.remove_columns("file_name")
    return None


def is_listing(file: Path) -> bool:
    """Tell whether a metadata.csv has names and texts between vertical lines, without a header, as LJSpeech's has."""
    header = read_text(file).partition("\n")[0]
    return file.suffix == ".csv" and "|" in header and "file_name" not in header


def read_table(path: str, split: str, by: Sequence[str] = ()) -> datasets.Dataset | None:
    """Read the rows of a split, unchanged.

    Args:
        path: A table, a folder with ``train.jsonl`` (.csv, .tsv, .parquet) or with one table of another name, a folder
            that ``save_to_disk`` wrote or that has the form of a hub repository, or a hub id with an optional
            configuration: ``Helsinki-NLP/opus-100:de-en``.
        split: train, validation or test.
        by: Names of a column whose equal values stay in one split, where the table has no splits; the first name that
            exists is used, and whole rows if none does.

    Returns:
        The rows; None if there is no such split.

    Raises:
        UsageError: nothing can be read there.
    """
    repository, _, config_name = (path, "", "") if Path(path).exists() else path.partition(":")
    folder = Path(repository)
    if not Path(path).exists() and is_missing_path(repository):
        raise UsageError(f"--data {path}: there is no such file or folder")
    if folder.is_dir() and not any(visible_paths(folder)):
        raise UsageError(f"--data {path}: the folder is empty")
    table = read_local_table(folder, split, by)
    is_repository = any((folder / inside).exists() for inside in ("README.md", "data"))
    if table is not None or (folder.is_dir() and (is_saved(folder) or not is_repository)):
        return table
    options = {"cache_dir": str(repository_cache(folder))} if folder.is_dir() else {}
    try:
        available = load_hub(path, repository, config_name or None, **options)
    except UsageError as error:
        if folder.is_dir() and isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    return choose_split(available, split, by, path)


def read_local_table(place: Path, split: str, by: Sequence[str] = ()) -> datasets.Dataset | None:
    """Read the rows of a split of a table, or of a folder of tables or of ``save_to_disk``: see ``read_table``."""
    if place.is_file():
        return select_split(read_file(place), split, by, str(place))
    if not place.is_dir():
        return None
    unsplit = single_table(place)
    if unsplit is not None:
        return select_split(read_file(unsplit), split, by, str(unsplit))
    file = named_table(place, split)
    if file is not None:
        return read_file(file)
    if not is_saved(place):
        return None
    saved = load_saved(place)
    if isinstance(saved, datasets.Dataset):
        return select_split(saved, split, by, str(place))
    return choose_split(saved, split, by, str(place))


def local_columns(place: Path) -> list[str]:
    """Return the names of the columns of what ``read_local_table`` reads for training, before it is divided."""
    if is_saved(place):
        saved = load_saved(place)
        return (saved if isinstance(saved, datasets.Dataset) else next(iter(saved.values()))).column_names
    file = place if place.is_file() else named_table(place, "train")
    file = single_table(place) if file is None and place.is_dir() else file
    return [] if file is None else read_file(file).column_names


def named_table(folder: Path, split: str) -> Path | None:
    """Return the table in a folder that is named after a split, as ``train.csv``; None if there is none."""
    files = (folder / f"{name}{suffix}" for name in SPLITS[split] for suffix in TABLES)
    return next((file for file in files if file.is_file()), None)


def single_table(folder: Path) -> Path | None:
    """Return the table of a folder without splits: the only one, or the one of training."""
    if is_saved(folder) or has_splits(folder):
        return None
    tables = [path for path in visible_paths(folder) if path.suffix.lower() in TABLES and path.is_file()]
    return tables[0] if len(tables) == 1 else named_table(folder, "train")


def is_saved(folder: Path) -> bool:
    """Tell whether a folder was written by ``save_to_disk``."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def choose_split(
    available: Mapping[str, datasets.Dataset], split: str, by: Sequence[str], data: str
) -> datasets.Dataset | None:
    """Return one of several splits; where there is none but training, it is divided."""
    named = {each: next((available[name] for name in SPLITS[each] if name in available), None) for each in SPLITS}
    if named["train"] is not None and named["validation"] is None and named["test"] is None:
        return select_split(named["train"], split, by, data)
    return named[split]


def select_split(table: datasets.Dataset, split: str, by: Sequence[str], data: str) -> datasets.Dataset:
    """Select the rows of a split of a table that has none; see ``divide``."""
    columns = table.select_columns([name for name in by if name in table.column_names][:1] or table.column_names)
    batches: Any = columns.with_format("arrow").iter(batch_size=1000)  # as they are stored, not decoded
    groups = [repr(list(row.values())) for batch in batches for row in batch.to_pylist()]
    return table.select(divide(groups, split, data))


def load_saved(folder: Path) -> Any:
    """Load the Dataset or DatasetDict that ``save_to_disk`` wrote. Raises UsageError if it is broken."""
    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # Arrow, JSON and the file system each raise their own
        raise UsageError(f"--data {folder}: it can't be read ({first_line(error)}); save it again") from error


def repository_cache(folder: Path) -> Path:
    """Return a folder for the tables of a repository on disk, another one whenever a file in it changes."""
    key = hashlib.sha256("\n".join(map(cache.file_key, visible_files(folder))).encode())
    return cache.cache_dir() / f"tables-{key.hexdigest()[:24]}"


def load_hub(path: str, repository: str, config_name: str | None, **options: Any) -> Any:
    """Load all splits of a repository, a folder or on the hub. Raises UsageError if they can't be read or reached."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs each attempt; the last one is enough
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # it would repeat the error below
    fault = None
    try:
        with stage(f"reading {path}"):
            if not Path(repository).exists():
                fault = hub_fault()
                datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.is_offline_mode()  # its copy of the setting
            return datasets.load_dataset(repository, config_name, **options)
    except Exception as error:  # datasets raises a different kind for each format and each network fault
        cause = error.__cause__ or error  # the outer one may only say that there is an inner one
        reason = first_line(cause)
        if "no data" in reason:
            raise UsageError(f"--data {path}: a table is empty: it has no rows") from error
        if fault is not None:
            raise UsageError(f"--data {path}: {hub_advice(fault)}") from error
        raise UsageError(
            f"--data {path}: neither a table or folder with readable data nor a hub dataset that can be reached "
            f"({reason})"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its kind where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def report_invalid_rows(problems: dict[int, str], total: int, where: str, skip: bool) -> None:
    """Report all invalid rows at once.

    Args:
        problems: What is wrong with each invalid row, by its number from 0.
        total: The number of all rows.
        where: The name of the data in the message.
        skip: Whether invalid rows are allowed and will be skipped.

    Raises:
        UsageError: there are invalid rows, and they may not be skipped.
    """
    if not problems:
        return
    shown = [f"row {row + 1} {problem}" for row, problem in sorted(problems.items())[:8]]
    more = f" and {len(problems) - len(shown)} more" if len(problems) > len(shown) else ""
    listing = f"{where}: {len(problems)} of {total} rows are invalid: {'; '.join(shown)}{more}"
    if not skip:
        raise UsageError(f"{listing}. Fix them or skip them with --skip-invalid")
    warn_once(f"{listing}. They are skipped.")


def report_notes(notes: dict[int, str], total: int, where: str) -> None:
    """Report what is to be said of valid rows, such as damage, by their numbers from 0."""
    if notes:
        shown = [f"row {row + 1} {note}" for row, note in sorted(notes.items())[:8]]
        more = f" and {len(notes) - len(shown)} more" if len(notes) > len(shown) else ""
        warn_once(f"{where}: {len(notes)} of {total} rows are used in part: {'; '.join(shown)}{more}")
