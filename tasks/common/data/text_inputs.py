"""Inputs of ``predict`` that are texts: given as they are, by the names of files, or - for standard input."""

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.common.console import console
from tasks.common.data.text_lines import decode_lines
from tasks.common.errors import OneLineError, UsageError
from tasks.common.streams import read_standard_input

LOOKS_LIKE_FILE = re.compile(r"[^\s<>]*[\w-](/|\.[A-Za-z]\w{0,5})")  # warn if there is no such file


class TextFileError(OneLineError):
    """A file that has no texts to read. The message is read after its name."""


def read_texts(argument: str, one_per_file: bool) -> Iterator[str]:
    """Read the texts that an argument of a command names or is, each when it is asked for.

    Args:
        argument: The name of a file, - for standard input, or a text.
        one_per_file: Whether a file is one text, or has one in each line.

    Raises:
        TextFileError: the file is empty, a folder, or can't be read.
        UsageError: standard input is closed.
    """
    if argument == "-":
        yield from split_file(io.BytesIO(read_standard_input()), one_per_file)
    elif not exists(argument):
        if LOOKS_LIKE_FILE.fullmatch(argument):
            console.print(f"there is no file {argument}; its name is used as the input text")
        yield argument
    elif Path(argument).is_dir():
        raise TextFileError("is a folder: name the files in it")
    else:
        try:
            with Path(argument).open("rb") as file:
                yield from split_file(file, one_per_file)
        except OSError as error:
            raise TextFileError(f"can't be read ({error.strerror})") from error


def text_of_value(value: Any) -> str:
    """Return a text that is given as it is, as bytes, as the path of its file, or as a file open for reading.

    Raises:
        UsageError: for anything else, and for a file that can't be read.
    """
    content = value
    try:
        if isinstance(value, Path):
            content = value.read_bytes()
        elif hasattr(value, "read"):
            content = value.read()
    except OSError as error:
        raise UsageError(f"{value} can't be read ({error.strerror})") from error
    if isinstance(content, str):
        return content
    if isinstance(content, (bytes, bytearray)):
        return bytes(content).removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")
    raise UsageError(f"an input is {type(value).__name__}; allowed are a text, its bytes, a path or a file")


def split_file(file: io.BufferedIOBase, one_per_file: bool) -> Iterator[str]:
    """Yield the texts in a file: the whole content, or its lines. Raises TextFileError if it is empty."""
    if one_per_file:
        content = file.read().removeprefix(codecs.BOM_UTF8)
        texts = iter([content.decode("utf-8", errors="replace")] if content else [])
    else:
        texts = decode_lines(file)
    first = next(texts, None)
    if first is None:
        raise TextFileError("is empty: there is no input in it")
    yield first
    yield from texts


def exists(name: str) -> bool:
    """Tell whether a file, a pipe or a folder has this name; "." and texts too long for a name are texts."""
    try:
        return any(map(str.isalnum, name)) and Path(name).exists()
    except OSError:
        return False
