"""Images and videos with captions: folders and tables, as one table with a row for each file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.data.division import divide_table
from tasks.common.data.grouping import file_groups
from tasks.common.data.media_files import file_source, media_key
from tasks.common.data.media_folders import read_listed_table, read_texts
from tasks.common.data.media_tables import folder_of, media_column, usual_name
from tasks.common.data.row_reports import number_rows
from tasks.common.data.splits import split_folders, unsplit_folders
from tasks.common.data.tables import FoundTable
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.normalization import TextNormalization, normalize_text

if TYPE_CHECKING:
    import datasets


MAX_REASON = 200  # characters of a reason, which may hold any of a file's values
CAPTION_COLUMNS = ("captions", "caption", "text", "sentences")  # the usual names


def read_captioned_folder(data: str, split: str, column: str, suffixes: tuple[str, ...]) -> "datasets.Dataset | None":
    """Read a split's own folder; see ``read_captioned_files``.

    Returns:
        The columns source, captions and row; None if there is no such split.
    """
    for folder in split_folders(Path(data), split):
        table = read_captioned_files(folder, column, suffixes)
        if table is not None:
            return table
    return None


def read_unsplit_folder(data: str, split: str, column: str, suffixes: tuple[str, ...]) -> "datasets.Dataset | None":
    """Read a split of a folder without splits, see ``read_captioned_files``; None if it is no such folder."""
    for folder in unsplit_folders(Path(data)):
        table = read_captioned_files(folder, column, suffixes)
        if table is not None:
            return divide_table(table, file_groups(table["source"], Path(data)), split, data)
    return None


def read_captioned_files(folder: Path, column: str, suffixes: tuple[str, ...]) -> "datasets.Dataset | None":
    """Read a folder with a table of its files, such as metadata.jsonl, or with plain texts.

    Args:
        folder: The folder.
        column: The name of the column with the captions.
        suffixes: The endings of media files.

    Returns:
        The columns source, captions and row; None if the files have no captions in these forms, see
        ``read_listed_table`` and ``read_texts``.
    """
    listed = read_listed_table(folder, suffixes)
    if listed is not None:
        paths, table = listed
        return group_captions(map(file_source, paths), captions_of(table, column, str(folder)))
    found = read_texts(folder, suffixes)
    return None if found is None else group_captions(map(file_source, found[0]), found[1])


def captions_of(table: "datasets.Dataset", column: str, where: str) -> list[Any]:
    """Return the captions of each row: from ``column``, a usual column, or several columns like caption_0, caption_1.

    Raises:
        UsageError: there is no such column.
    """
    names = table.column_names
    if column not in names and column == CAPTION_COLUMNS[0]:
        column = usual_name(names, CAPTION_COLUMNS) or column
    if column in names:
        return table[column][:]
    numbered = [name for name in names if re.fullmatch(rf"{column.removesuffix('s')}_\d+", name)]
    if numbered:
        return [list(captions) for captions in zip(*(table[name] for name in numbered), strict=True)]
    raise unknown_name("column", column, names, f"--caption-column names that of {where}")


def read_captioned_table(
    table: FoundTable,
    split: str,
    feature: "type[datasets.Image] | type[datasets.Video]",
    kind: str,
    column: str,
    data: str,
    suffixes: tuple[str, ...],
) -> "datasets.Dataset":
    """Read a split of a table of media and captions; a table without splits is divided by its files.

    Args:
        table: What the data have for the split.
        split: train, validation or test.
        feature: The type of the column of media, see ``media_column``.
        kind: The media in messages, such as "images".
        column: The name of the column with the captions.
        data: The folder of the files, the table in it, or hub id.
        suffixes: The endings of media files.

    Returns:
        The columns source, captions and row.

    Raises:
        UsageError: there is no column of media, or none of captions.
    """
    media = media_column(table.rows, feature, kind, data, suffixes)
    captioned = merge_captions(media, captions_of(table.rows, column, data))
    if not table.is_whole:
        return captioned
    return divide_table(captioned, file_groups(captioned["source"], folder_of(data)), split, data)


def group_captions(files: Iterable[Mapping[str, Any]], captions: Sequence[Any]) -> "datasets.Dataset":
    """Make a table of files and the captions of each, see ``merge_captions``."""
    import datasets

    return merge_captions(datasets.Dataset.from_dict({"source": list(files)}), captions)


def merge_captions(media: "datasets.Dataset", captions: Sequence[Any]) -> "datasets.Dataset":
    """Merge the rows of the same file.

    Args:
        media: The column source, path and bytes of each file. Contents stay on disk if they are there.
        captions: The captions of each row: one, or several.

    Returns:
        A row for each file: the columns source, captions and row, the number of its first row.
    """
    import datasets

    first_rows: dict[str, int] = {}
    merged: list[list[str]] = []
    for row, (file, given) in enumerate(zip(media["source"], captions, strict=True)):
        key = file["path"] if file["bytes"] is None else media_key(file)
        as_list = list(given) if isinstance(given, (list, tuple)) else [given]
        texts = [caption.get("raw") if isinstance(caption, dict) else caption for caption in as_list]
        merged.append([])
        merged[first_rows.setdefault(key, row)] += [
            text if isinstance(text, str) else "" if text is None else str(text) for text in texts
        ]
    table = media.add_column("captions", merged, feature=datasets.List(datasets.Value("string")))
    return number_rows(table).select(list(first_rows.values()))


@contextmanager
def expecting_captions(file: Path, form: str) -> Iterator[None]:
    """Raise UsageError where the JSON of a file has another form: other types, or without some keys.

    Args:
        file: The file.
        form: The name of the form in the message, as "MSR-VTT's".
    """
    try:
        yield
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:MAX_REASON]
        raise UsageError(f"{file} is not a caption file of {form} form ({reason})") from error


def add_targets(
    table: "datasets.Dataset", text_normalization: TextNormalization, *, all_captions: bool
) -> "datasets.Dataset":
    """Replace the column captions by references, all captions unchanged, and target, the normalized ones to train on.

    Args:
        table: A table with the column captions.
        text_normalization: The normalization of targets.
        all_captions: Train on all captions; otherwise on the first one alone, a scene's plain description.
    """
    references = [[caption for caption in captions if caption.strip()] for captions in table["captions"]]
    chosen = references if all_captions else [captions[:1] for captions in references]
    targets = [[normalize_text(caption, text_normalization) for caption in captions] for captions in chosen]
    return table.remove_columns("captions").add_column("target", targets).add_column("references", references)
