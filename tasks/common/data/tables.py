"""The rows of a split: from a table, a folder of tables, or the hub."""

import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets.config
import huggingface_hub

from encoders.pretrained.downloads import hub_advice, hub_fault, is_missing_path
from tasks.common.console import stage
from tasks.common.data import cache
from tasks.common.data.folders import visible_files, visible_paths
from tasks.common.data.splits import SPLITS, divide, has_splits
from tasks.common.data.table_files import TABLES, first_line, read_file
from tasks.common.errors import UsageError

datasets.disable_progress_bars()
datasets.logging.set_verbosity_error()


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
    return [] if file is None else columns_of(file, cache.file_key(file))


@functools.cache
def columns_of(file: Path, file_key: str) -> list[str]:
    """Return the names of a table's columns, and read it once as long as its ``file_key`` is the same."""
    return read_file(file).column_names


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
