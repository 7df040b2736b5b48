"""The media of a table: a column of their type, or one with the names of files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets import Audio, Dataset, Image, Video

from tasks.common.data.media_files import file_source
from tasks.common.data.media_names import MediaNames
from tasks.common.errors import UsageError

FILE_COLUMNS = ("file_name", "filename", "file", "path", "image", "audio", "video")  # the usual names


def usual_name(names: Iterable[str], usual: Sequence[str]) -> str | None:
    """Return the first of the usual names of a column, in any case, that is among names; None if there is none."""
    by_lower = {name.lower(): name for name in names}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def media_column(
    table: Dataset, feature: type[Image] | type[Video] | type[Audio], kind: str, data: str, suffixes: tuple[str, ...]
) -> Dataset:
    """Choose the column of media of a table: one of the type ``feature``, or else one of names, such as file_name.

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
    name = next((name for name, each in table.features.items() if isinstance(each, feature)), None)
    if name is not None:
        return table.select_columns([name]).cast_column(name, feature(decode=False)).rename_column(name, "source")
    name = usual_name(table.column_names, FILE_COLUMNS)
    if name is None:
        raise UsageError(f"--data {data} has no column of {kind}; it has {', '.join(table.column_names)}")
    names = MediaNames(folder_of(data), suffixes)
    return Dataset.from_dict({"source": [file_source(names.locate(str(file))) for file in table[name]]})


def folder_of(data: str) -> Path:
    """Return the folder to which the names of files are relative: data itself, or that of a table."""
    return Path(data).parent if Path(data).is_file() else Path(data)
