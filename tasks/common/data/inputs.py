"""Inputs of ``predict`` that are files: given by names, folders, web addresses, or - for standard input."""

import hashlib
import http.client
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks.common.console import console
from tasks.common.data import cache
from tasks.common.data.containers import Note
from tasks.common.data.folders import visible_paths
from tasks.common.data.media_files import MediaError
from tasks.common.files import save_atomically
from tasks.common.streams import read_standard_input

URL_SCHEMES = ("http://", "https://")
TIMEOUT_S = 30
TEXTS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".srt", ".vtt")  # as they lie beside media

Segments = list["InputSegment"]
ParseFile = Callable[[dict[str, Any], Note], Segments]  # raises ValueError, as MediaError, if a file can't be used


@dataclass(frozen=True)
class InputSegment:
    """An input to ``predict``, or a part of it.

    Attributes:
        source: The source, in the form that the task's ``collate_sources`` reads.
        span: Its begin and end in seconds, where sources have a duration.
        name: The input as the user named it: a file, an address, or a text itself.
        notes: What is to be said of the file, such as damage.
    """

    source: Any
    span: tuple[float, float] | None = None
    name: str = ""
    notes: tuple[str, ...] = ()


def parse_file_inputs(
    arguments: Sequence[str], parse_file: ParseFile, is_single_input: Callable[[Path], bool] = Path.is_file
) -> list[Segments | None]:
    """Parse files, of which a broken one never keeps the others from being used.

    Args:
        arguments: The arguments of the command line. A folder means all inputs in it, without the texts beside them.
        parse_file: Makes the segments of a file, the path or content, and notes what is to be said of it.
        is_single_input: Tells whether a path, also that of a folder, is a single input.

    Returns:
        The segments of each file; None for one that can't be used, after a message.
    """
    return [parse_input(name, file, parse_file) for name, file in list_files(arguments, is_single_input)]


def list_files(arguments: Sequence[str], is_single_input: Callable[[Path], bool]) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the path or content of each file; the folder itself for one without files."""
    files: list[tuple[str, dict[str, Any]]] = []
    for argument in arguments:
        if argument == "-":
            files.append(("standard input", {"path": None, "bytes": read_standard_input()}))
            continue
        path, paths = Path(argument), [argument]
        if path.is_dir() and not is_single_input(path):
            paths = [
                str(each) for each in visible_paths(path) if is_media(each) or (each.is_dir() and is_single_input(each))
            ]
            paths = paths or [argument]
        files += [(each, {"path": each, "bytes": None}) for each in paths]
    return files


def is_media(path: Path) -> bool:
    """Tell whether a path in a folder may be an input: a file that is no text."""
    return path.is_file() and path.suffix.lower() not in TEXTS


def parse_input(name: str, file: dict[str, Any], parse_file: ParseFile) -> Segments | None:
    """Parse a file, fetched first if it is a web address; None, after a message, if it can't be used."""
    notes: list[str] = []
    try:
        if name.startswith(URL_SCHEMES):
            file["path"] = fetch(name)
        elif file["bytes"] is None and Path(name).is_dir() and not any(map(is_media, visible_paths(Path(name)))):
            raise MediaError("is a folder without files")
        segments = parse_file(file, notes.append)
    except ValueError as error:
        console.print(f"{name} {error}: its line stays empty")
        return None
    for note in notes:
        console.print(f"{name} {note}")
    return [replace(segment, name=name, notes=tuple(notes)) for segment in segments]


def fetch(address: str) -> str:
    """Download a file into the cache, if it is not there yet, and return its path.

    Raises:
        MediaError: it can't be fetched.
    """
    path = cache.cache_dir() / f"fetched-{hashlib.sha256(address.encode()).hexdigest()[:24]}"
    if not path.is_file():
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
                content = response.read()
        except (OSError, ValueError, http.client.HTTPException) as error:  # the last for a broken address or transfer
            raise MediaError(f"can't be fetched ({error})") from error

        def write(partial: Path) -> None:
            partial.write_bytes(content)

        save_atomically(path, write)
    return str(path)
