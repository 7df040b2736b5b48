"""The division of data without splits: whole groups of rows, in the order of their hashes, until a share is full."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int8, Int64, UInt64

from tasks.common.console import warn_once
from tasks.common.data.splits import SPLITS
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

HELD_OUT = {"test": 0.1, "validation": 0.1}  # shares of the rows, in the order in which they are filled
MAX_HELD_OUT = 5000  # rows of each: more would take hours to evaluate, and belong to the training


def divide(
    groups: Sequence[str] | UInt64[np.ndarray, " rows"], split: str, data: str, shares: Mapping[str, float] = HELD_OUT
) -> Int64[np.ndarray, " split_rows"]:
    """Choose the rows of a split where the data do not have it, and tell how they were divided.

    Args:
        groups: The group of each row, see ``grouping.py``: its name, or the key of that. Rows of the same group are in
            one split.
        split: train, validation or test.
        data: The name of the data in messages.
        shares: The shares of all rows that are held out of training, of which at most MAX_HELD_OUT are each.

    Returns:
        The numbers of the rows, increasing.

    Raises:
        UsageError: there are fewer groups than splits.
    """
    keys = groups if isinstance(groups, np.ndarray) else np.fromiter(map(group_key, groups), dtype=np.uint64)
    _, group_ids, counts = np.unique(keys, return_inverse=True, return_counts=True)  # in the order of their keys
    num_splits = len(shares) + 1
    if len(counts) < num_splits:
        rows = "rows" if len(counts) == len(groups) else f"groups of rows that belong together, in {len(groups)} rows,"
        raise UsageError(
            f"--data {data}: {len(counts)} {rows} can't be divided into {num_splits} splits; add more, or put "
            "them into tables or folders that are named train, validation and test"
        )
    split_of = assign_splits(counts, [*shares.values()])[group_ids]
    names = ["train", *shares]
    sizes = dict(zip(names, np.bincount(split_of, minlength=num_splits).tolist(), strict=True))
    parts = ", ".join(f"{sizes[name]} for {name}" for name in SPLITS if name in sizes)
    warn_once(f"{data}: {len(groups)} rows, divided by a hash: {parts}")
    return np.flatnonzero(split_of == names.index(split))


def group_key(name: str) -> int:
    """Return the key of a group, the first 64 bits of a hash of its name."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:8])


def divide_table(table: "datasets.Dataset", groups: Sequence[str], split: str, data: str) -> "datasets.Dataset":
    """Select the rows of a split of a table that has none; see ``divide``."""
    return table.select(divide(groups, split, data))


def assign_splits(counts: Int64[np.ndarray, " groups"], shares: Sequence[float]) -> Int8[np.ndarray, " groups"]:
    """Choose the groups that are held out of training.

    Groups are taken in the order of their keys, as long as they fit into a split's share of all rows; where none
    fits, the smallest one is taken, unless it is the last. So the division depends on nothing but the groups, and a
    group too large for a held-out split is for training.

    Args:
        counts: The number of rows of each group, in the order of their keys.
        shares: The share of all rows of each split but training.

    Returns:
        The split of each group: 0 for training, 1 for that of the first share, and so on.
    """
    split_of = np.zeros(len(counts), np.int8)
    for split, share in enumerate(shares, 1):
        room = held_out_room(share, int(counts.sum()))
        for group in np.flatnonzero(split_of == 0):
            if counts[group] <= room:
                split_of[group] = split
                room -= counts[group]
            if room < 1:
                break
        left = np.flatnonzero(split_of == 0)
        if split not in split_of and len(left) > 1:
            split_of[left[counts[left].argmin()]] = split
    return split_of


def held_out_room(share: float, num_rows: int) -> int | float:
    """Return the number of rows that a held-out split of so many rows has room for."""
    return min(share * num_rows, MAX_HELD_OUT)


def assign_names(counts: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Choose the groups that are held out of training by their names; see ``assign_splits``.

    Returns:
        The split of each group that is not for training.
    """
    names = sorted(counts, key=group_key)
    splits = assign_splits(np.array([counts[name] for name in names]), [*shares.values()])
    return {name: [*shares][split - 1] for name, split in zip(names, splits.tolist(), strict=True) if split}


def split_by_hash(name: str) -> str:
    """Choose the split of a part of built-in data by the last digit of a hash of its name.

    It decides each part alone, so shares are not exact and a split may be empty. ``divide`` is better, but would move
    the splits of data whose results are published (benchmarks/README.md): it is for those alone.
    """
    tenth = int(hashlib.sha256(name.strip().lower().encode("utf-8", "replace")).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")
