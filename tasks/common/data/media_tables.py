"""The media of a table: a column of their type, or one with the names of files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.common.console import warn_once
from tasks.common.data.media_files import file_source
from tasks.common.data.media_names import MediaNames
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

MAX_PROBED = 100  # rows by whose names of files a column is recognized
FILE_COLUMNS = ("file_name", "filename", "file", "path", "image", "audio", "video")  # the usual names


def usual_name(names: Iterable[str], usual: Sequence[str]) -> str | None:
    """Return the first of the usual names of a column, in any case, that is among names; None if there is none."""
    by_lower = {name.lower(): name for name in names}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def file_column(table: "datasets.Dataset", names: MediaNames) -> str | None:
    """Choose the column with the names of files: one with a usual name, or else the one that names most files.

    The second choice is told. Most of the first values of the column must be names of files that exist.

    Args:
        table: The table, with other columns than those of names, too.
        names: The files.

    Returns:
        The name of the column; None if there is no such column.
    """
    usual = usual_name(table.column_names, FILE_COLUMNS)
    if usual is not None:
        return usual
    texts = [name for name, feature in table.features.items() if getattr(feature, "dtype", None) == "string"]
    first = table.select_columns(texts)[:MAX_PROBED]
    counts = {name: sum(map(names.has_file, values)) for name, values in first.items()}
    best = max(counts, key=counts.__getitem__, default=None)
    if best is None or 2 * counts[best] <= len(first[best]):
        return None
    warn_once(f"{names.place}: the names of files are in the column {best}")
    return best


def media_column(
    table: "datasets.Dataset",
    feature: "type[datasets.Image] | type[datasets.Video] | type[datasets.Audio]",
    kind: str,
    data: str,
    suffixes: tuple[str, ...],
) -> "datasets.Dataset":
    """Choose the column of media of a table: one of the type ``feature``, or else one of names, see ``file_column``.

    Args:
        table: The table. Its media are not decoded.
        feature: The type of the column.
        kind: The media in messages, such as "images".
        data: The folder of the files, the table in it, or hub id.
        suffixes: The endings of media files.

    Returns:
        The column source, path and bytes of each file.

    Raises:
        UsageError: there is no such column.
    """
    import datasets

    name = next((name for name, each in table.features.items() if isinstance(each, feature)), None)
    if name is not None:
        return table.select_columns([name]).cast_column(name, feature(decode=False)).rename_column(name, "source")
    names = MediaNames(folder_of(data), suffixes)
    name = file_column(table, names)
    if name is None:
        raise UsageError(
            f"--data {data} has no column of {kind}, and none with the names of files in {names.folder}; it has "
            f"{', '.join(table.column_names)}"
        )
    return datasets.Dataset.from_dict({"source": [file_source(names.locate(str(file))) for file in table[name]]})


def folder_of(data: str) -> Path:
    """Return the folder to which the names of files are relative: data itself, or that of a table."""
    return Path(data).parent if Path(data).is_file() else Path(data)
