"""Folders and text files as people have them: files that systems add are left out, texts are decoded with care."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from tasks.common.errors import UsageError

SYSTEM_NAMES = {"thumbs.db", "desktop.ini", "__macosx"}  # of Windows, and of archives made on macOS
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def is_hidden(path: Path) -> bool:
    """Tell whether a file or folder is no data: hidden, or made by the operating system."""
    return path.name.startswith(".") or path.name.lower() in SYSTEM_NAMES


def is_utf8(path: str | Path) -> bool:
    """Tell whether a path is valid text: names from old archives may have bytes of other encodings."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def visible_paths(folder: Path) -> list[Path]:
    """List the files and folders in a folder, except hidden ones, in the order of their names."""
    return sorted(path for path in folder.iterdir() if not is_hidden(path))


def visible_files(folder: Path, *suffixes: str) -> list[Path]:
    """List the files in a folder and in all folders inside, except hidden ones, in the order of their names.

    Args:
        folder: The folder.
        suffixes: Endings of the files to list, in lower case; none: all files.
    """

    def walk(place: Path) -> Iterator[Path]:
        for path in visible_paths(place):
            if path.is_dir():
                yield from () if path.is_symlink() else walk(path)  # a link may lead back
            elif not suffixes or path.suffix.lower() in suffixes:
                yield path

    return sorted(walk(folder))


def read_text(file: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark, which is removed.

    Raises:
        UsageError: it can't be read or decoded.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} can't be read ({error.strerror or error})") from error
    mark = next((mark for mark in BYTE_ORDER_MARKS if content.startswith(mark)), b"")
    content = content.removeprefix(mark)
    try:
        return content.decode(BYTE_ORDER_MARKS.get(mark, "utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{file}, line {line}: not valid {error.encoding.upper()}; save the file as UTF-8") from error


def divide_lines(text: str, ends: re.Pattern[str]) -> Iterator[str]:
    """Yield the lines of a text with their ends, one after another, without a list of all."""
    start = 0
    for end in ends.finditer(text):
        yield text[start : end.end()]
        start = end.end()
    if start < len(text):
        yield text[start:]


def read_text_lines(file: Path) -> list[str]:
    """Read the lines of a text file, divided at line feeds alone, without carriage returns at their ends.

    Raises:
        UsageError: it can't be read or decoded.
    """
    return [line.removesuffix("\r") for line in read_text(file).removesuffix("\n").split("\n")]
