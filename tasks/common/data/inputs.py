"""What is typed behind ``predict`` where inputs are files: their names, folders, addresses, or - for standard input."""

import hashlib
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.common.data import cache
from tasks.common.data.captioned_media import MediaError
from tasks.common.task import InputSegment
from tasks.common.training.logging import console

ADDRESSES = ("http://", "https://")
PATIENCE = 30  # seconds, for an address to answer

Check = Callable[[dict[str, Any]], str | None]  # what is wrong with a file; may also raise MediaError


def parse_file_inputs(
    arguments: Sequence[str], wrong: Check, is_one: Callable[[Path], bool] = Path.is_file
) -> list[list[InputSegment]]:
    """A piece a file; none for what can't be used, after saying why. A folder stands for what is in it, unless
    ``is_one`` says that it is an input itself."""
    return [[InputSegment(file)] if usable(name, file, wrong) else [] for name, file in named(arguments, is_one)]


def named(arguments: Sequence[str], is_one: Callable[[Path], bool]) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for argument in arguments:
        if argument == "-":
            found.append(("standard input", {"path": None, "bytes": sys.stdin.buffer.read()}))
        elif Path(argument).is_dir() and not is_one(Path(argument)):
            inside = sorted(path for path in Path(argument).iterdir() if path.is_file() or is_one(path))
            found += [(str(path), {"path": str(path), "bytes": None}) for path in inside]
        else:
            found.append((argument, {"path": argument, "bytes": None}))
    return found


def usable(name: str, file: dict[str, Any], wrong: Check) -> bool:
    try:
        if name.startswith(ADDRESSES):
            file["path"] = fetch(name)
        problem = wrong(file)
    except MediaError as error:
        problem = str(error)
    if problem:
        console.print(f"{name} {problem}: its line stays empty", markup=False)
    return not problem


def fetch(address: str) -> str:
    """The path of what an address holds, fetched when it is first asked for. Raises MediaError."""
    path = cache.folder() / f"fetched-{hashlib.sha256(address.encode()).hexdigest()[:24]}"
    if not path.is_file():
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                received = answer.read()
        except (OSError, ValueError) as error:
            raise MediaError(f"can't be fetched ({error})") from error
        beside = path.with_suffix(".part")
        beside.write_bytes(received)
        beside.rename(path)
    return str(path)
