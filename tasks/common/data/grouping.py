"""Groups of rows that must not be in two splits: the same text, pairs that share one, the same file or speaker."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt64

from tasks.common.data.division import HELD_OUT, group_key, held_out_room
from tasks.common.data.mapped_tables import read_in_ranges
from tasks.common.data.media_files import media_key

if TYPE_CHECKING:
    import datasets


def normalize_key(text: object) -> str:
    """Return a text without what does not distinguish it: case, and the kind and number of spaces and line breaks."""
    return " ".join(str(text).casefold().split())


def text_groups(texts: Iterable[object]) -> list[str]:
    """Group rows with the same text."""
    return [normalize_key(text) for text in texts]


def pair_groups(sources: Sequence[object], targets: Sequence[object]) -> UInt64[np.ndarray, " pairs"]:
    """Group pairs that share a source or a target, also through other pairs.

    So no source of a held-out split is one of training, whatever the direction, and models of both directions, as
    reranking needs them, have the same splits. Where targets recur so often that most pairs would be one group, as
    labels do, pairs are grouped by their sources alone.

    The texts are read twice, and what is in memory is numbers: the keys of all texts, and the texts of groups of
    several pairs.

    Args:
        sources: The source of each pair.
        targets: Its target, or a list of references.

    Returns:
        The key of the group of each pair: see ``group_key``. Groups are named after their first text of either side, so
        that the direction does not matter.
    """

    from scipy.sparse import coo_array  # takes a while to import
    from scipy.sparse.csgraph import connected_components

    def normalized() -> Iterator[list[str]]:
        for source, target in zip(read_in_ranges(sources), read_in_ranges(targets), strict=True):
            yield text_groups([source, *(target if isinstance(target, list) else [target])])

    # A graph of all texts, in which the source of a pair is linked with its references.
    by_source, linked, references = array("Q"), array("q"), array("Q")
    for row, (source, *others) in enumerate(normalized()):
        by_source.append(group_key(source))
        for other in others if source else ():
            if other:
                linked.append(row)
                references.append(group_key(other))
    source_keys = np.frombuffer(by_source, np.uint64)
    source_ids, target_ids = (np.unique(keys, return_inverse=True)[1] for keys in (source_keys, references))
    ends = source_ids[np.frombuffer(linked, np.int64)], target_ids + len(source_ids)
    size = len(source_ids) + len(target_ids)
    graph = coo_array((np.ones(len(linked), np.int8), ends), shape=(size, size))
    groups = connected_components(graph, directed=False)[1][source_ids]

    names: dict[int, str] = {}
    num_pairs = np.bincount(groups)
    keys = np.empty(len(groups), np.uint64)
    for row, (group, (source, *others)) in enumerate(zip(groups.tolist(), normalized(), strict=True)):
        name = min([source, *filter(None, others)]) if source else source
        if num_pairs[group] == 1:
            keys[row] = group_key(name)
        else:
            names[group] = min(names.get(group, name), name)
    for row in np.flatnonzero(num_pairs[groups] > 1).tolist():
        keys[row] = group_key(names[int(groups[row])])
    return keys if can_fill_splits(keys) else source_keys


def can_fill_splits(keys: UInt64[np.ndarray, " rows"]) -> bool:
    """Tell whether the groups that are small enough for a held-out split fill all of those."""
    rooms = [max(1, held_out_room(share, len(keys))) for share in HELD_OUT.values()]
    counts = np.unique(keys, return_counts=True)[1]
    return bool(counts[counts <= min(rooms)].sum() >= sum(rooms))


def file_groups(files: Iterable[Mapping[str, Any]], place: Path) -> list[str]:
    """Group rows of the same file, by its content where the table holds it.

    Args:
        files: The path and bytes of each row.
        place: The folder of the data, to which paths are relative: the division is the same wherever it is.
    """
    return [relative_name(Path(file["path"]), place) if file["bytes"] is None else media_key(file) for file in files]


def content_groups(files: Iterable[Path]) -> list[str]:
    """Group copies of the same file."""
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def relative_name(path: Path, place: Path) -> str:
    """Return a path relative to a folder; its name alone if it is not inside."""
    return path.relative_to(place).as_posix() if path.is_relative_to(place) else path.name


def speaker_groups(files: Sequence[Mapping[str, Any]], place: Path) -> list[str]:
    """Group recordings by the folder of their speaker, in the layout SPEAKER/CHAPTER/FILE.

    With fewer speakers than splits, these can't have speakers of their own: they are divided by files.
    """
    speakers = [Path(file["path"]).parent.parent.name for file in files]
    return speakers if len({*speakers}) > len(HELD_OUT) else file_groups(files, place)


def row_groups(table: "datasets.Dataset") -> list[str]:
    """Group equal rows of a table, whose texts and media are hashed one by one and not decoded."""
    batches: Any = table.with_format("arrow").iter(batch_size=100)
    rows = (row for batch in batches for row in batch.to_pylist())
    return [hashlib.sha256(repr(list(row.values())).encode("utf-8", "replace")).hexdigest() for row in rows]
