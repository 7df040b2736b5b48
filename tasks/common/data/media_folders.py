"""Folders of media with their texts as people have them: a .txt beside each file, or one listing of names and texts."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets

from tasks.common.data.folders import is_utf8, read_text, read_text_lines, visible_files, visible_paths
from tasks.common.data.table_files import read_file
from tasks.common.errors import UsageError

LISTINGS = re.compile(r"(captions?|transcripts?|transcriptions?|results|metadata|labels|.*\.token)\.(txt|csv|tsv)")
FILE_COLUMNS = ("file_name", "filename", "file", "path", "image", "audio", "video")  # the usual names
SEPARATORS = ("\t", "|", ",", ";", " ")  # between name and text


def file_source(path: str | Path) -> dict[str, Any]:
    """Return the path of a file as the source of a row, or its content where the path is not UTF-8.

    Tables hold no other text; such a name, as old archives have it, is made readable for messages.
    """
    if is_utf8(path):
        return {"path": str(path), "bytes": None}
    name = os.fsencode(path).decode("utf-8", "replace")
    return {"path": name, "bytes": Path(path).read_bytes() if Path(path).is_file() else None}


def read_metadata(folder: Path) -> tuple[list[str], datasets.Dataset] | None:
    """Read metadata.jsonl or metadata.csv of a folder of media files.

    Returns:
        The paths of the files, and the other columns; None if there is no such file.

    Raises:
        UsageError: there is no column file_name.
    """
    for file in (folder / "metadata.jsonl", folder / "metadata.csv"):
        if file.is_file() and not is_listing(file):
            table = read_file(file)
            if "file_name" not in table.column_names:
                raise UsageError(f"{file} has no column file_name; it has {', '.join(table.column_names)}")
            paths = [str(folder / str(inner).replace("\\", "/")) for inner in table["file_name"]]
            return paths, table.remove_columns("file_name")
    return None


def is_listing(file: Path) -> bool:
    """Tell whether a metadata.csv has names and texts between vertical lines, without a header, as LJSpeech's has."""
    header = read_text(file).partition("\n")[0]
    return file.suffix == ".csv" and "|" in header and "file_name" not in header


def read_texts(folder: Path, suffixes: tuple[str, ...]) -> tuple[list[str], list[list[str]]] | None:
    """Find the media files of a folder that have texts, in the folder itself or in folders inside.

    Args:
        folder: The folder. A listing may also lie beside it.
        suffixes: The endings of media files.

    Returns:
        The paths, and the lines of text of each; None if there are neither texts beside the files nor a listing.

    Raises:
        UsageError: a text can't be read.
    """
    media = visible_files(folder, *suffixes)
    texts = [file.with_suffix(".txt") for file in media]
    if any(text.is_file() for text in texts):  # files without one are reported with all other mistakes
        lines = [read_text(text).split("\n") if text.is_file() else [] for text in texts]
        return [str(file) for file in media], [[line.strip() for line in each if line.strip()] for each in lines]
    for place in (folder, folder.parent):
        for listing in visible_paths(place) if media else ():
            if LISTINGS.fullmatch(listing.name.lower()) and listing.is_file():
                texts_of = read_listing(read_text_lines(listing), media, folder)
                if texts_of:
                    return list(texts_of), list(texts_of.values())
    return None


def read_listing(lines: Iterable[str], media: list[Path], folder: Path) -> dict[str, list[str]]:
    """Read lines of a name and a text, as in the listings of Flickr (Hodosh et al. 2013) or LJSpeech.

    A header is skipped. Names are those of files, with or without their endings, and may be numbered: ``1.jpg#0``.
    Of several fields between vertical lines the last one is the text.

    Returns:
        The texts of each path. A name without a file has a path in ``folder``; nothing if no name has a file.
    """
    path_of = {name: file for file in media for name in (file.stem, file.name, file.relative_to(folder).as_posix())}
    texts_of: dict[str, list[str]] = {}
    is_any_found = False
    for number, line in enumerate(lines):
        parts = [line.partition(separator) for separator in SEPARATORS if separator in line]
        parts = [(name, mark, text.rpartition("|")[2] if mark == "|" else text) for name, mark, text in parts]
        named = [(re.sub(r"#\d+$", "", name.strip(' "')).replace("\\", "/"), text) for name, _, text in parts]
        found = next(((name, text) for name, text in named if name in path_of), None)
        is_any_found |= found is not None
        if named and (found or number):
            name, text = found or named[0]
            text = text.strip()
            if text[:1] == text[-1:] == '"' and len(text) > 1:
                text = text[1:-1].replace('""', '"')
            texts_of.setdefault(str(path_of.get(name, folder / name)), []).append(text)
    return texts_of if is_any_found else {}


def locate_files(folder: Path, names: Iterable[object], suffixes: tuple[str, ...]) -> list[str]:
    """Return the paths of files that a table names: in a folder or, by their names alone, in folders inside.

    Args:
        folder: The folder.
        names: Paths in the folder, also in the way of Windows: ``images\\\\0.png``.
        suffixes: The endings of media files.
    """
    inside: dict[str, Path] | None = None
    paths = []
    for name in map(str, names):
        path = folder / name
        if not path.exists():
            path = folder / name.replace("\\", "/")
        if not path.exists():
            if inside is None:
                inside = {file.name: file for file in visible_files(folder, *suffixes)}
            path = inside.get(path.name, path)
        paths.append(str(path))
    return paths
