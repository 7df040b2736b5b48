"""Inputs of ``predict`` that are files: given by names, folders, web addresses, or - for standard input."""

import hashlib
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.common.console import console
from tasks.common.data import cache
from tasks.common.data.captioned_media import MediaError
from tasks.common.data.folders import visible_paths
from tasks.common.streams import read_standard_input

URL_SCHEMES = ("http://", "https://")
TIMEOUT_S = 30

FindProblem = Callable[[dict[str, Any]], str | None]  # what is wrong with a file, or None; may also raise MediaError


@dataclass(frozen=True)
class InputSegment:
    """An input to ``predict``, or a part of it.

    Attributes:
        source: The source, in the form that the task's ``collate_sources`` reads.
        span: Its begin and end in seconds, where sources have a duration.
        name: The input as the user named it: a file, an address, or a text itself.
    """

    source: Any
    span: tuple[float, float] | None = None
    name: str = ""


def parse_file_inputs(
    arguments: Sequence[str], find_problem: FindProblem, is_single_input: Callable[[Path], bool] = Path.is_file
) -> list[list[InputSegment]]:
    """Make one segment of each file; none for a file that can't be used, after a message.

    Args:
        arguments: The arguments of the command line. A folder means all inputs in it.
        find_problem: Describes what is wrong with a file; None if nothing is.
        is_single_input: Tells whether a path, also that of a folder, is a single input.
    """
    files = list_files(arguments, is_single_input)
    return [[InputSegment(file, name=name)] if is_usable(name, file, find_problem) else [] for name, file in files]


def list_files(arguments: Sequence[str], is_single_input: Callable[[Path], bool]) -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the path or content of each file."""
    files: list[tuple[str, dict[str, Any]]] = []
    for argument in arguments:
        if argument == "-":
            files.append(("standard input", {"path": None, "bytes": read_standard_input()}))
        elif Path(argument).is_dir() and not is_single_input(Path(argument)):
            inside = [path for path in visible_paths(Path(argument)) if path.is_file() or is_single_input(path)]
            if not inside:
                console.print(f"{argument} is a folder without files", markup=False)
            files += [(str(path), {"path": str(path), "bytes": None}) for path in inside]
        else:
            files.append((argument, {"path": argument, "bytes": None}))
    return files


def is_usable(name: str, file: dict[str, Any], find_problem: FindProblem) -> bool:
    """Check a file, fetch it first if it is a web address, and print what is wrong with it."""
    try:
        if name.startswith(URL_SCHEMES):
            file["path"] = fetch(name)
        problem = find_problem(file)
    except MediaError as error:
        problem = str(error)
    if problem:
        console.print(f"{name} {problem}: its line stays empty")
    return not problem


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
        except (OSError, ValueError) as error:
            raise MediaError(f"can't be fetched ({error})") from error
        partial = path.with_suffix(".part")
        partial.write_bytes(content)
        partial.rename(path)
    return str(path)
