"""The rows of a split: from a folder of tables, a folder of media files, or the hub; and the report of invalid rows."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import datasets

from tasks.common.console import stage, warn_once
from tasks.common.errors import UsageError

SPLITS = {"train": ("train", "train.100"), "validation": ("validation", "val", "valid", "dev"), "test": ("test",)}
TABLES = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}

datasets.disable_progress_bars()
datasets.logging.set_verbosity_error()


def split_by_hash(name: str) -> str:
    """Choose the split of data that has none, by a hash of its name: a tenth each is validation and test.

    Give the same name to rows that must be in the same split, such as all parts of one document.
    """
    tenth = int(hashlib.sha256(name.strip().lower().encode()).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")


def read_metadata(folder: Path) -> datasets.Dataset | None:
    """Read metadata.jsonl or metadata.csv of a folder of media files.

    Returns:
        Its rows, in which the column file_name holds paths; None if there is no such file.

    Raises:
        UsageError: there is no column file_name.
    """
    for name in ("metadata.jsonl", "metadata.csv"):
        file = folder / name
        if file.is_file():
            read = datasets.Dataset.from_json if name.endswith("jsonl") else datasets.Dataset.from_csv
            table = read(str(file))
            if "file_name" not in table.column_names:
                raise UsageError(f"{file} has no column file_name; it has {', '.join(table.column_names)}")
            paths = [str(folder / str(inner)) for inner in table["file_name"]]
            return table.remove_columns("file_name").add_column("file_name", paths)
    return None


def read_table(path: str, split: str) -> datasets.Dataset | None:
    """Read the rows of a split, unchanged.

    Args:
        path: A folder with ``train.jsonl`` (.csv, .tsv, .parquet), a folder that ``save_to_disk`` wrote or that has
            the form of a hub repository, or a hub id with an optional configuration: ``Helsinki-NLP/opus-100:de-en``.
        split: train, validation or test.

    Returns:
        The rows; None if there is no such split.

    Raises:
        UsageError: nothing can be read there.
    """
    names = SPLITS[split]
    repository, _, config_name = path.partition(":")
    folder = Path(repository)
    if not folder.exists() and (folder.is_absolute() or path.startswith(".")):
        raise UsageError(f"--data {path}: there is no such folder")
    for name in names:
        for suffix, builder in TABLES.items():
            file = folder / f"{name}{suffix}"
            if file.is_file():
                if not file.stat().st_size:
                    raise UsageError(f"{file} is empty; one row per line is expected")
                options = {"keep_default_na": False} if builder == "csv" else {}  # "NA" and "null" are words
                options |= {"sep": "\t", "quoting": 3} if suffix == ".tsv" else {}
                table = _load(path, builder, data_files={"train": str(file)}, **options)
                if "train" not in table or not len(table["train"]):
                    raise UsageError(f"{file} is empty: it has no rows")
                return table["train"]
    if (folder / "dataset_dict.json").is_file():
        saved = datasets.load_from_disk(path)
        return next((saved[name] for name in names if name in saved), None)
    if folder.is_dir() and not any((folder / inside).exists() for inside in ("README.md", "data")):
        return None
    try:
        available = _load(path, repository, config_name or None)
    except UsageError as error:
        if folder.is_dir() and isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    return next((available[name] for name in names if name in available), None)


def _load(path: str, *arguments: Any, **options: Any) -> Any:
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs each attempt; the last one is enough
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # it would repeat the error below
    try:
        with stage(f"reading {path}"):
            return datasets.load_dataset(*arguments, **options)
    except Exception as error:  # datasets raises a different kind for each format and each network fault
        cause = error.__cause__ or error  # the outer one may only say that there is an inner one
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        if "no data" in reason:
            raise UsageError(f"--data {path}: a table is empty: it has no rows") from error
        raise UsageError(
            f"--data {path}: neither a folder with readable data nor a hub dataset that can be reached ({reason})"
        ) from error


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
