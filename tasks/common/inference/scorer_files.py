"""An evaluation as plain text for other programs that score: one line for each example in every file.

NAME.txt     the hypotheses
NAME.src     the sources, of media the names of their files
NAME.ref0    the first reference of each example, NAME.ref1 the second, and so on; a line is empty where an example has
             no more

Sources and references are other people's texts: with these endings they are not published with a run's hypotheses.
"""

import glob
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from tasks.common.files import save_atomically

LINE_BREAK = re.compile(r"[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")  # those of str.splitlines


def save_scorer_files(
    folder: Path, name: str, sources: Sequence[str], references: Sequence[Sequence[str]], hypotheses: Sequence[str]
) -> None:
    """Save the texts of an evaluation, in place of those of a former one, which may have had more references."""
    for former in folder.glob(f"{glob.escape(name)}.ref*"):
        former.unlink()
    save_lines(folder / f"{name}.txt", hypotheses)
    save_lines(folder / f"{name}.src", sources)
    for number, column in enumerate(zip_longest(*references, fillvalue="")):
        save_lines(folder / f"{name}.ref{number}", column)


def save_lines(path: Path, texts: Iterable[str]) -> None:
    """Save texts, one a line: each character that a program may take for the end of a line is a space in them."""
    save_atomically(path, "".join(LINE_BREAK.sub(" ", text) + "\n" for text in texts))
