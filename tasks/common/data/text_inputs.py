"""Inputs of ``predict`` that are texts: given as they are, by the names of files, or - for standard input."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.common.console import console
from tasks.common.data.parallel_text import read_lines
from tasks.common.errors import UsageError
from tasks.common.streams import read_standard_input

LOOKS_LIKE_FILE = re.compile(r"[^\s<>]*[\w-](/|\.[A-Za-z]\w{0,5})")  # warn if there is no such file


def read_texts(arguments: Sequence[str], one_per_file: bool) -> list[str]:
    """Read the texts that the arguments of a command name or are.

    Args:
        arguments: Names of files, - for standard input, or texts.
        one_per_file: Whether a file is one text, or has one in each line.

    Raises:
        UsageError: a file is empty, a folder, or can't be read.
    """
    texts: list[str] = []
    for argument in arguments:
        if argument == "-":
            texts += split_file(read_standard_input(), "standard input", one_per_file)
        elif exists(argument):
            if Path(argument).is_dir():
                raise UsageError(f"{argument} is a folder: name the files in it")
            try:
                texts += split_file(Path(argument).read_bytes(), argument, one_per_file)
            except OSError as error:
                raise UsageError(f"{argument} can't be read ({error.strerror})") from error
        else:
            if LOOKS_LIKE_FILE.fullmatch(argument):
                console.print(f"there is no file {argument}; its name is used as the input text")
            texts.append(argument)
    return texts


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
        return bytes(content).removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    raise UsageError(f"an input is {type(value).__name__}; allowed are a text, its bytes, a path or a file")


def split_file(content: bytes, name: str, one_per_file: bool) -> list[str]:
    """Return the texts in a file: the whole content, or its lines. Raises UsageError if it is empty."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content:
        raise UsageError(f"{name} is empty: there is no input in it")
    return [content.decode("utf-8", errors="replace")] if one_per_file else read_lines(content)


def exists(name: str) -> bool:
    """Tell whether a file, a pipe or a folder has this name; "." and texts too long for a name are texts."""
    try:
        return any(map(str.isalnum, name)) and Path(name).exists()
    except OSError:
        return False
