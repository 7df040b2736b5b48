"""Training, validation and test: their names, and how data without splits are divided."""

import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from tasks.common.console import console
from tasks.common.data.folders import visible_paths
from tasks.common.errors import UsageError

SPLITS = {"train": ("train", "train.100"), "validation": ("validation", "val", "valid", "dev"), "test": ("test",)}
HELD_OUT = 10  # one row of so many is for validation, and another one for test


def split_by_hash(name: str) -> str:
    """Choose the split of data that has none, by a hash of its name: a tenth each is validation and test.

    Give the same name to rows that must be in the same split, such as all parts of one document.
    """
    tenth = int(hashlib.sha256(name.strip().lower().encode("utf-8", "replace")).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")


def has_splits(folder: Path) -> bool:
    """Tell whether a file or folder inside is named after validation or test, like ``test.csv`` or ``dev-clean``.

    One that is named after training alone has no splits: it is divided.
    """
    names = {*SPLITS["validation"], *SPLITS["test"]}
    return any(re.split(r"[.-]", path.name)[0].lower() in names for path in visible_paths(folder))


def split_folders(data: Path, split: str) -> list[Path]:
    """List the folders in ``data`` that are named after a split; none if ``data`` has no splits."""
    folders = [data / name for name in SPLITS[split]] if data.is_dir() and has_splits(data) else []
    return [folder for folder in folders if folder.is_dir()]


def unsplit_folders(data: Path) -> list[Path]:
    """List the folders that may hold all files of data without splits: that of training, and ``data`` itself."""
    folders = [data / "train", data] if data.is_dir() and not has_splits(data) else []
    return [folder for folder in folders if folder.is_dir()]


def divide(groups: Sequence[str], split: str, data: str) -> list[int]:
    """Choose the rows of a split where the data have no splits, and tell how they were divided.

    The distinct groups are put in the order of their hashes; the first tenth is for test, the second one for
    validation, and each has one group at least. So the division depends on nothing but the groups, and shares are
    exact also for few rows.

    Args:
        groups: The group of each row. Rows of the same group, such as several texts of a file, are in one split.
        split: train, validation or test.
        data: The name of the data in messages.

    Returns:
        The numbers of the rows, increasing.

    Raises:
        UsageError: there are fewer than three groups.
    """
    ordered = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode("utf-8", "replace")).digest())
    if len(ordered) < 3:
        raise UsageError(
            f"--data {data}: {len(ordered)} distinct rows without splits can't be divided; at least 3 are needed"
        )
    share = max(1, round(len(ordered) / HELD_OUT))
    split_of = dict.fromkeys(ordered, "train")
    split_of |= dict.fromkeys(ordered[:share], "test") | dict.fromkeys(ordered[share : 2 * share], "validation")
    rows: dict[str, list[int]] = {name: [] for name in SPLITS}
    for row, group in enumerate(groups):
        rows[split_of[group]].append(row)
    counts = ", ".join(f"{len(numbers)} for {name}" for name, numbers in rows.items())
    tell_once(f"{data}: {len(groups)} rows without splits, divided by a hash of each: {counts}")
    return rows[split]


@functools.cache
def tell_once(message: str) -> None:
    """Print a message, but not again when another split of the same data is read."""
    console.print(message)
