"""The rows of a split: from a table, a folder of tables, or the hub."""

import functools
import hashlib
import itertools
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub

from encoders.pretrained.downloads import HubName, hub_advice, hub_fault, is_missing_path
from tasks.common.console import stage
from tasks.common.data import cache
from tasks.common.data.division import divide_table
from tasks.common.data.folders import visible_files, visible_paths
from tasks.common.data.grouping import row_groups
from tasks.common.data.headers import KnownColumns
from tasks.common.data.splits import SPLITS, has_splits, split_named
from tasks.common.data.table_files import TABLES, first_line, read_file, read_files
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets
SHARD = re.compile(r"(?P<table>.*?)[-_.]?\d+([-_]of[-_]\d+)?")  # the stem of a part of a table, train-00000-of-00010
CONVERTED = "refs/convert/parquet"  # the branch with the hub's own conversion of a dataset to Parquet

CONVERTED = "refs/convert/parquet"  # the branch with the hub's own conversion of a dataset to Parquet


@dataclass(frozen=True)
class FoundTable:
    """The rows that data have for a split.

    Attributes:
        rows: The rows of the split or, where the data have no splits, all rows, which are still to be divided.
        is_whole: Whether they are all rows.
    """

    rows: "datasets.Dataset"
    is_whole: bool


@dataclass(frozen=True)
class SplitTables:
    """The tables of the splits that data have.

    Attributes:
        tables: A table, or its files, by its split.
        has_splits: Whether the data have splits; without them the table of training has all rows.
    """

    tables: "Mapping[str, datasets.Dataset | tuple[Path, ...]]"
    has_splits: bool

    @classmethod
    def of(cls, available: Mapping[str, "datasets.Dataset"]) -> "SplitTables":
        """Recognize the splits of a dataset by their names; with training alone it has none."""
        found = {split: [available[name] for name in names if name in available] for split, names in SPLITS.items()}
        tables = {split: several[0] for split, several in found.items() if several}
        return cls(tables, tables.keys() != {"train"})

    def find(self, split: str, known: KnownColumns | None = None) -> FoundTable | None:
        """Return the rows for a split; None if there is no such split. ``known``: see ``read_csv``."""
        table = self.tables.get(split if self.has_splits else "train")
        if table is None:
            return None
        return FoundTable(read_files(table, known) if isinstance(table, tuple) else table, not self.has_splits)


def read_table(path: str, split: str) -> "datasets.Dataset | None":
    """Read the rows of a split, unchanged; a table without splits is divided, and equal rows stay in one split.

    See ``find_table`` for the arguments. Where more than equal rows belong together, find the table, choose its
    columns, and divide it by a group of ``grouping.py``.
    """
    found = find_table(path, split)
    if found is None or not found.is_whole:
        return None if found is None else found.rows
    return divide_table(found.rows, row_groups(found.rows), split, path)


def find_table(path: str, split: str, known: KnownColumns | None = None) -> FoundTable | None:
    """Read the rows that data have for a split, unchanged and not yet divided.

    Args:
        path: A table, a folder with ``train.jsonl`` (.csv, .tsv, .parquet, .tar) or with one table of another name, a
            folder that ``save_to_disk`` wrote or that has the form of a hub repository, or a hub id with an optional
            configuration and revision: ``Helsinki-NLP/opus-100:de-en``, ``OWNER/NAME@refs/convert/parquet``. A table
            that is named after a split is that split, and the tables beside it are the others. A table in a folder may
            be in several files with numbers, its shards: ``train-00000-of-00010.parquet``.
        split: train, validation or test.
        known: What is known of the columns of a CSV, see ``read_csv``.

    Returns:
        The rows; None if there is no such split.

    Raises:
        UsageError: nothing can be read there.
    """
    name = parse_name(path)
    folder = Path(name.repository)
    if not folder.exists() and is_missing_path(str(replace(name, revision=None))):
        raise UsageError(f"--data {path}: there is no such file or folder")
    if folder.is_dir() and not any(visible_paths(folder)):
        raise UsageError(f"--data {path}: the folder is empty")
    found = find_local_tables(folder).find(split, known)
    is_repository = any((folder / inside).exists() for inside in ("README.md", "data"))
    if found is not None or (folder.is_dir() and (is_saved(folder) or not is_repository)) or folder.is_file():
        return found
    options = {"cache_dir": str(repository_cache(folder))} if folder.is_dir() else {}
    try:
        available = load_hub(path, name, **options)
    except UsageError as error:
        if folder.is_dir() and isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    return SplitTables.of(available).find(split)


def parse_name(path: str) -> HubName:
    """Split the name of data, which is a path or one of the hub, into repository, configuration and revision."""
    if Path(path).exists():
        return HubName(path)
    folder, _, configuration = path.rpartition(":")  # the last one: paths of Windows begin with another
    return HubName.parse(path) or (HubName(folder, configuration) if folder else HubName(path))


def find_local_tables(place: Path) -> SplitTables:
    """Find the tables of a file, or of a folder of tables or of ``save_to_disk``: see ``find_table``."""
    import datasets

    if place.is_file():
        split = split_named(place)
        tables = {"train": (place,)} if split is None else named_tables(place.parent) | {split: (place,)}
        return SplitTables(tables, tables.keys() != {"train"})
    if not place.is_dir():
        return SplitTables({}, True)
    if is_saved(place):
        saved = load_saved(place)
        return SplitTables.of({"train": saved} if isinstance(saved, datasets.Dataset) else saved)
    tables = named_tables(place)
    if has_splits(place):
        return SplitTables(tables, True)
    files = table_files(place)
    names = {(table_name(file), file.suffix.lower()) for file in files}
    return SplitTables({"train": tuple(files)} if len(names) == 1 else tables, False)


def local_columns(place: Path, known: KnownColumns) -> list[str]:
    """Return the names of the columns that data on this machine have for training. ``known``: see ``read_csv``."""
    table = find_local_tables(place).tables.get("train")
    if isinstance(table, tuple):
        return columns_of(table[0], cache.file_key(table[0]), known)
    return [] if table is None else table.column_names


@functools.cache
def columns_of(file: Path, file_key: str, known: KnownColumns) -> list[str]:
    """Return the names of a table's columns, and read it once as long as its ``file_key`` is the same."""
    return read_file(file, known).column_names


def named_tables(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of the tables in a folder that are named after splits, as ``train.csv``, by their splits."""
    files = table_files(folder)
    found: dict[str, tuple[Path, ...]] = {}
    for split, names in SPLITS.items():
        for name, suffix in itertools.product(names, TABLES):
            whole = folder / f"{name}{suffix}"
            shards = [file for file in files if table_name(file) == name and file.suffix.lower() == suffix]
            if split not in found and (whole in files or shards):
                found[split] = (whole,) if whole in files else tuple(shards)
    return found


def table_files(folder: Path) -> list[Path]:
    """List the files of tables in a folder."""
    return [path for path in visible_paths(folder) if path.suffix.lower() in TABLES and path.is_file()]


def table_name(file: Path) -> str:
    """Return the name of the table that a file is, or is a shard of: without the shard's number."""
    shard = SHARD.fullmatch(file.stem)
    return file.stem if shard is None else shard["table"]


def is_saved(folder: Path) -> bool:
    """Tell whether a folder was written by ``save_to_disk``."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def load_saved(folder: Path) -> Any:
    """Load the Dataset or DatasetDict that ``save_to_disk`` wrote. Raises UsageError if it is broken."""
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:  # Arrow, JSON and the file system each raise their own
        raise UsageError(f"--data {folder}: it can't be read ({first_line(error)}); save it again") from error


def repository_cache(folder: Path) -> Path:
    """Return a folder for the tables of a repository on disk, another one whenever a file in it changes."""
    key = hashlib.sha256("\n".join(map(cache.file_key, visible_files(folder))).encode())
    return cache.cache_dir() / f"tables-{key.hexdigest()[:24]}"


def load_hub(path: str, name: HubName, **options: Any) -> Any:
    """Load all splits of a repository, a folder or on the hub. Raises UsageError if they can't be read or reached.

    ``name`` is what ``path`` says.
    """
    import datasets
    import datasets.config

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs each attempt; the last one is enough
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # it would repeat the error below
    fault = None
    try:
        with stage(f"reading {path}"):
            if not Path(name.repository).exists():
                fault = hub_fault()
                datasets.config.HF_HUB_OFFLINE = huggingface_hub.constants.is_offline_mode()  # its copy of the setting
            if name.revision == CONVERTED:  # it has a folder for each configuration, and no list of them
                return datasets.load_dataset(
                    name.repository, data_dir=name.configuration, revision=CONVERTED, **options
                )
            return datasets.load_dataset(name.repository, name.configuration, revision=name.revision, **options)
    except Exception as error:  # datasets raises a different kind for each format and each network fault
        cause = error.__cause__ or error  # the outer one may only say that there is an inner one
        reason = first_line(cause)
        if "no data" in reason:
            raise UsageError(f"--data {path}: a table is empty: it has no rows") from error
        if "scripts are no longer supported" in reason:
            raise UsageError(
                f"--data {path}: these data come as a program, which is not run ({reason}); name a folder or another "
                f"dataset, or OWNER/NAME:CONFIGURATION@{CONVERTED} if the hub has converted them"
            ) from error
        if fault is not None:
            raise UsageError(f"--data {path}: {hub_advice(fault)}") from error
        raise UsageError(
            f"--data {path}: neither a table or folder with readable data nor a hub dataset that can be reached "
            f"({reason})"
        ) from error
