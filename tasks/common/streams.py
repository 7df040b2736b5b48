"""The standard streams: text in UTF-8 whatever the locale, and an error where one is closed."""

import io
import os
import sys

from tasks.common.errors import UsageError


def prepare_streams() -> None:
    """Make standard output and error write UTF-8, and names of files that are not UTF-8 as the bytes they are.

    Raises:
        UsageError: if standard output is closed: results would be lost.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open as long as the program)
    if sys.stdout is None:
        raise UsageError("standard output is closed: redirect it to a file, or to the null device")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def read_standard_input() -> bytes:
    """Read standard input to its end.

    Raises:
        UsageError: if it is closed.
    """
    if sys.stdin is None:
        raise UsageError("-: standard input is closed; name a file, or redirect one with <")
    return sys.stdin.buffer.read()
