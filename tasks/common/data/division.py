"""The division of data without splits: whole groups of rows, in the order of their hashes, until a share is full."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.common.console import warn_once
from tasks.common.data.splits import SPLITS
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

HELD_OUT = {"test": 0.1, "validation": 0.1}  # shares of the rows, in the order in which they are filled


def divide(groups: Sequence[str], split: str, data: str, shares: Mapping[str, float] = HELD_OUT) -> list[int]:
    """Choose the rows of a split where the data do not have it, and tell how they were divided.

    Args:
        groups: The group of each row, see ``grouping.py``. Rows of the same group are in one split.
        split: train, validation or test.
        data: The name of the data in messages.
        shares: The shares of all rows that are held out of training.

    Returns:
        The numbers of the rows, increasing.

    Raises:
        UsageError: there are fewer groups than splits.
    """
    counts = Counter(groups)
    num_splits = len(shares) + 1
    if len(counts) < num_splits:
        rows = "rows" if len(counts) == len(groups) else f"groups of rows that belong together, in {len(groups)} rows,"
        raise UsageError(
            f"--data {data}: {len(counts)} {rows} can't be divided into {num_splits} splits; add more, or put "
            "them into tables or folders that are named train, validation and test"
        )
    split_of = assign_splits(counts, shares)
    rows_of: dict[str, list[int]] = {name: [] for name in SPLITS if name == "train" or name in shares}
    for row, group in enumerate(groups):
        rows_of[split_of.get(group, "train")].append(row)
    parts = ", ".join(f"{len(rows)} for {name}" for name, rows in rows_of.items())
    warn_once(f"{data}: {len(groups)} rows, divided by a hash: {parts}")
    return rows_of[split]


def divide_table(table: "datasets.Dataset", groups: Sequence[str], split: str, data: str) -> "datasets.Dataset":
    """Select the rows of a split of a table that has none; see ``divide``."""
    return table.select(divide(groups, split, data))


def assign_splits(counts: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Choose the groups that are held out of training.

    Groups are taken in the order of their hashes, as long as they fit into a split's share of all rows; where none
    fits, the smallest one is taken, unless it is the last. So the division depends on nothing but the groups, and a
    group too large for a held-out split is for training.

    Args:
        counts: The number of rows of each group.
        shares: The share of all rows of each split but training.

    Returns:
        The split of each group that is not for training.
    """
    order = sorted(counts, key=lambda group: hashlib.sha256(group.encode("utf-8", "replace")).digest())
    split_of: dict[str, str] = {}
    for split, share in shares.items():
        room = share * sum(counts.values())
        for group in order:
            if group not in split_of and counts[group] <= room:
                split_of[group] = split
                room -= counts[group]
        left = [group for group in order if group not in split_of]
        if split not in split_of.values() and len(left) > 1:
            split_of[min(left, key=counts.__getitem__)] = split
    return split_of


def split_by_hash(name: str) -> str:
    """Choose the split of a part of built-in data by the last digit of a hash of its name.

    It decides each part alone, so shares are not exact and a split may be empty. ``divide`` is better, but would move
    the splits of data whose results are published (benchmarks/README.md): it is for those alone.
    """
    tenth = int(hashlib.sha256(name.strip().lower().encode("utf-8", "replace")).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(tenth, "train")
