"""Groups of rows that must not be in two splits: the same text, pairs that share one, the same file or speaker."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.data.division import HELD_OUT
from tasks.common.data.media_files import media_key

if TYPE_CHECKING:
    import datasets


def normalize_key(text: object) -> str:
    """Return a text without what does not distinguish it: case, and the kind and number of spaces and line breaks."""
    return " ".join(str(text).casefold().split())


def text_groups(texts: Iterable[object]) -> list[str]:
    """Group rows with the same text."""
    return [normalize_key(text) for text in texts]


def pair_groups(sources: Sequence[object], targets: Sequence[object]) -> list[str]:
    """Group pairs that share a source or a target, also through other pairs.

    So no source of a held-out split is one of training, whatever the direction, and models of both directions, as
    reranking needs them, have the same splits. Where targets recur so often that most pairs would be one group, as
    labels do, pairs are grouped by their sources alone.

    Args:
        sources: The source of each pair.
        targets: Its target, or a list of references.
    """
    by_source = text_groups(sources)
    leader: dict[tuple[int, str], tuple[int, str]] = {}  # of the texts of each side: a forest, whose roots are groups

    def find(text: tuple[int, str]) -> tuple[int, str]:
        while leader.setdefault(text, text) != text:
            leader[text] = text = leader[leader[text]]
        return text

    for source, target in zip(by_source, targets, strict=True):
        references = text_groups(target if isinstance(target, list) else [target])
        for reference in references if source else ():
            if reference:
                leader[find((1, reference))] = find((0, source))
    roots = [find((0, source)) for source in by_source]
    names: dict[tuple[int, str], str] = {}  # the first text of either side, so that the direction does not matter
    for text in leader:
        root = find(text)
        names[root] = min(names.get(root, text[1]), text[1])
    groups = [names[root] for root in roots]
    return groups if can_fill_splits(groups) else by_source


def can_fill_splits(groups: Sequence[str]) -> bool:
    """Tell whether the groups that are small enough for a held-out split fill all of those."""
    rooms = [max(1, share * len(groups)) for share in HELD_OUT.values()]
    return sum(count for count in Counter(groups).values() if count <= min(rooms)) >= sum(rooms)


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
