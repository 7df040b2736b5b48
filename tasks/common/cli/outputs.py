"""The outputs of ``predict``: standard output, or a file for each input, named after it."""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tasks.common.cli.outcomes import Outcome, is_path, short_name
from tasks.common.console import console
from tasks.common.data.addresses import URL_SCHEMES
from tasks.common.files import new_path, save_atomically
from tasks.common.inference.formats import SUFFIXES, Formatter


class Output:
    """Writes predictions."""

    def __init__(self, formatter: Formatter, folder: str | None):
        """``folder``: that of the files; None for standard output."""
        self.format, self.folder = formatter, None if folder is None else Path(folder)
        self.is_first = True

    @property
    def has_empty_lines(self) -> bool:
        """Tell whether an input without a sentence is an empty line."""
        return self.folder is None and self.format.name == "text" and not self.format.words

    def write(self, outcome: Outcome) -> None:
        """Write the output for an input: a file, if it can be used, which never replaces another one, or a line."""
        if self.folder is None:
            self.print(outcome)
        elif outcome.problem is None:
            self.save(outcome, self.folder)

    def print(self, outcome: Outcome) -> None:
        """Print the output."""
        if self.is_first and self.format.header:
            print(self.format.header)
        self.is_first = False
        if outcome.text or not self.format.words:  # a recording without words has no line of words
            print(outcome.text)

    def save(self, outcome: Outcome, folder: Path) -> None:
        """Save the output, and print its name if it is not that of the input."""
        stem = file_stem(outcome.name)
        path = new_path(folder, stem, SUFFIXES[self.format.name])
        lines = [line for line in (self.format.header, outcome.text) if line is not None]
        save_atomically(path, "\n".join(lines) + "\n")
        if path.stem != stem:
            console.print(f"{outcome.name}: {path}")

    def flush(self) -> None:
        """Let a reader of standard output have what was printed."""
        sys.stdout.flush()


def save_plots(outcome: Outcome, folder: Path) -> None:
    """Save the plots of an input, and print the names of their files."""
    for segment, files in enumerate(outcome.plots, start=1):
        stem = words_of_name(outcome.name) + (f"-{segment}" if len(outcome.plots) > 1 else "")
        path = new_path(folder, stem, ".png")
        for ending, content in files.items():
            save_atomically(path.with_name(path.stem + ending), content)
        if files:
            console.print(f"plot: {path}")


def file_stem(name: str) -> str:
    """Return the name of the files for an input: that of its own file without the suffix, or its first words."""
    if name.startswith(URL_SCHEMES):
        return Path(urlsplit(name).path).stem or words_of_name(name)
    return Path(name).stem if is_path(name) else words_of_name(name)


def words_of_name(name: str) -> str:
    """Return the words of an input's name, without its folder and suffix, joined by hyphens."""
    return "-".join(re.findall(r"\w+", re.sub(r"\.\w{1,5}$", "", short_name(name)))) or "input"
