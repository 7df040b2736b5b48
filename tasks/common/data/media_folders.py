"""Folders of media with their texts as people have them: a .txt beside each file, or one listing of names and texts."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.common.data.folders import read_text, read_text_lines, visible_files, visible_paths
from tasks.common.data.media_files import MEDIA_SUFFIXES
from tasks.common.data.media_names import MediaNames, path_inside
from tasks.common.data.media_tables import FILE_COLUMNS, file_column, usual_name
from tasks.common.data.table_files import read_csv, read_file, read_header
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

LISTINGS = re.compile(
    r"(captions?|transcripts?|transcriptions?|results|metadata|labels|.*\.token)\.(txt|csv|tsv|jsonl)"
)
METADATA = "metadata"  # a table of this name must have a column of files
SEPARATORS = ("\t", "|", ",", ";", " ")  # between name and text


def read_listed_table(folder: Path, suffixes: tuple[str, ...]) -> "tuple[list[Path], datasets.Dataset] | None":
    """Read a table of the media files of a folder: metadata.jsonl, or a listing whose header names a column of files.

    Args:
        folder: The folder. A listing may also lie beside it; then only the rows of files in the folder are read.
        suffixes: The endings of media files.

    Returns:
        The paths of the files, and the other columns; None if there is no such table.

    Raises:
        UsageError: metadata have no column of files, or a name may be that of several files.
    """
    for file in listings(folder, suffixes):
        table = read_named_columns(file)
        if table is None:
            continue
        names = MediaNames(folder, suffixes, file.parent)
        column = file_column(table, names)
        if column is not None:
            texts = table.remove_columns(column)
            if file.parent == folder:
                return [names.locate(str(name)) for name in table[column]], texts
            found = {row: path for row, name in enumerate(table[column]) if (path := names.find(str(name)))}
            if found:
                return list(found.values()), texts.select(list(found))
        elif file.stem == METADATA and file.parent == folder:
            raise UsageError(
                f"{file} has no column file_name, and none with the names of files; it has "
                f"{', '.join(table.column_names)}"
            )
    return None


def read_named_columns(file: Path) -> "datasets.Dataset | None":
    """Read a listing as a table; None if its first line is no header, as in LJSpeech's metadata.csv."""
    import datasets

    if file.suffix.lower() == ".jsonl":
        return read_file(file)
    header = read_header(file)
    is_table = usual_name(header, FILE_COLUMNS) or (
        file.name.lower() == f"{METADATA}.csv" and "|" not in "".join(header)
    )
    return datasets.Dataset.from_dict(read_csv(file)) if is_table else None


def listings(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Find the listings of a folder's files: in it, metadata first, and beside it, if it has media files."""
    for place in (folder, folder.parent) if visible_files(folder, *suffixes) else (folder,):
        paths = [path for path in visible_paths(place) if LISTINGS.fullmatch(path.name.lower()) and path.is_file()]
        yield from sorted(paths, key=lambda path: path.stem.lower() != METADATA)


def read_texts(folder: Path, suffixes: tuple[str, ...]) -> tuple[list[Path], list[list[str]]] | None:
    """Find the media files of a folder that have texts, in the folder itself or in folders inside.

    Args:
        folder: The folder. A listing may also lie beside it; then only the rows of files in the folder are read.
        suffixes: The endings of media files.

    Returns:
        The paths, and the lines of text of each; None if there are neither texts beside the files nor a listing.

    Raises:
        UsageError: a text can't be read, or a name in a listing may be that of several files.
    """
    media = MediaNames(folder, suffixes)
    texts = [file.with_suffix(".txt") for file in media.files]
    if any(text.is_file() for text in texts):  # files without one are reported with all other mistakes
        lines = [read_text(text).split("\n") if text.is_file() else [] for text in texts]
        return media.files, [[line.strip() for line in each if line.strip()] for each in lines]
    for listing in listings(folder, suffixes) if media.files else ():
        names = MediaNames(folder, suffixes, listing.parent)
        texts_of = read_listing(read_text_lines(listing), names)
        if texts_of:
            return list(texts_of), list(texts_of.values())
    return None


def read_listing(lines: Iterable[str], names: MediaNames) -> dict[Path, list[str]]:
    """Read lines of a name and a text, as in the listings of Flickr (Hodosh et al. 2013) or LJSpeech.

    A header is skipped: a first line that names no file. Names are those of files, with or without their endings, and
    may be numbered: ``1.jpg#0``. Of several fields between vertical lines the last one is the text.

    Returns:
        The texts of each path. A name without a file has a path in the folder if the listing is in it, and is another
        folder's otherwise; nothing if no name has a file.
    """
    texts_of: dict[Path, list[str]] = {}
    is_any_found = False
    for number, line in enumerate(lines):
        named = [parse_line(line, separator) for separator in SEPARATORS if separator in line]
        found = next(((path, text) for name, text in named if (path := names.find(name))), None)
        is_any_found |= found is not None
        if found is None and named and names.place == names.folder:
            name, text = next((each for each in named if is_media_name(each[0])), named[0])
            found = (path_inside(names.folder, name), text) if number or is_media_name(name) else None
        if found is not None:
            texts_of.setdefault(found[0], []).append(found[1])
    return texts_of if is_any_found else {}


def parse_line(line: str, separator: str) -> tuple[str, str]:
    """Divide a line of a listing into the name of a file and its text."""
    name, _, text = line.partition(separator)
    text = (text.rpartition("|")[2] if separator == "|" else text).strip()
    if separator in ",;" and text.startswith('"'):
        text = next(csv.reader([text], delimiter=separator))[0]
    elif text[:1] == text[-1:] == '"' and len(text) > 1:
        text = text[1:-1].replace('""', '"')
    return re.sub(r"#\d+$", "", name.strip(' "')).replace("\\", "/"), text


def is_media_name(name: str) -> bool:
    """Tell whether a name has the ending of a media file."""
    return Path(name).suffix.lower() in MEDIA_SUFFIXES
