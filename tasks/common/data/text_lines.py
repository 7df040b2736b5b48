"""The lines of a text file: of one in memory, or of one that stays on disk."""

import codecs
import io
import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

SCANNED_BYTES = 2**24  # at a time, for line feeds


class TextLines(Sequence[str]):
    """The lines of a UTF-8 file, divided at line feeds alone; ``text_problem`` detects those that are not UTF-8.

    Only where each line begins is in memory, 8 bytes a line.
    """

    def __init__(self, file: Path):
        """Find the lines. The file must not change afterwards."""
        size = file.stat().st_size
        with file.open("rb") as opened:
            self.content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        first = len(codecs.BOM_UTF8) if self.content[:3] == codecs.BOM_UTF8 else 0
        found = [
            np.flatnonzero(np.frombuffer(self.content[start : start + SCANNED_BYTES], np.uint8) == ord("\n")) + start
            for start in range(first, size, SCANNED_BYTES)
        ]
        ends = np.concatenate([*found, [size]])  # of each line, and of what follows the last line feed
        self.starts = np.concatenate([[first], ends + 1])
        if size <= self.starts[-2]:
            self.starts = self.starts[:-1]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: int | slice | Sequence[int]):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a line, or a list of several."""
        if isinstance(rows, int):
            return self.line(range(len(self))[rows])
        return [self.line(row) for row in (range(len(self))[rows] if isinstance(rows, slice) else rows)]

    def line(self, row: int) -> str:
        start, end = self.starts[row : row + 2].tolist()
        return self.content[start : end - 1].decode("utf-8", errors="replace")


def read_lines(content: bytes) -> list[str]:
    """Split UTF-8 text at line feeds alone. ``text_problem`` detects lines that are not UTF-8."""
    return list(decode_lines(io.BytesIO(content)))


def decode_lines(file: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of an open file as ``read_lines`` returns them, one after another."""
    for number, line in enumerate(file):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
        if text:  # a mark alone is no line
            yield text.removesuffix(b"\n").decode("utf-8", errors="replace")
