"""The outputs of ``predict``: standard output, or a file for each input, named after it."""

import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tasks.common.console import console
from tasks.common.data.addresses import URL_SCHEMES
from tasks.common.files import new_path, save_atomically
from tasks.common.inference.config import SUBTITLES
from tasks.common.inference.formats import SUFFIXES, Formatter
from tasks.common.inference.prediction import Prediction

MAX_NAME = 40  # characters of an input's name in a warning, and in the name of a file if it is no file itself


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

    def write(self, prediction: Prediction, number: int) -> bool:
        """Write the output for an input, and return whether it could be used.

        A file is written for each input that can be used, and never replaces another one.
        """
        if prediction.problem is None and self.format.name in SUBTITLES and not all(prediction.spans):
            console.print(f"{prediction.name} has no duration: there are no subtitles of it")
            return False
        if self.folder is None:
            self.print(prediction, number)
        elif prediction.problem is None:
            self.save(prediction, number, self.folder)
        return prediction.problem is None

    def print(self, prediction: Prediction, number: int) -> None:
        """Print the output."""
        if self.is_first and self.format.header:
            print(self.format.header)
        self.is_first = False
        text = self.format(prediction, number)
        if text or not self.format.words:  # a recording without words has no line of words
            print(text)

    def save(self, prediction: Prediction, number: int, folder: Path) -> None:
        """Save the output, and print its name if it is not that of the input."""
        stem = file_stem(prediction.name)
        path = new_path(folder, stem, SUFFIXES[self.format.name])
        lines = [line for line in (self.format.header, self.format(prediction, number)) if line is not None]
        save_atomically(path, "\n".join(lines) + "\n")
        if path.stem != stem:
            console.print(f"{prediction.name}: {path}")

    def flush(self) -> None:
        """Let a reader of standard output have what was printed."""
        sys.stdout.flush()


def file_stem(name: str) -> str:
    """Return the name of the files for an input: that of its own file without the suffix, or its first words."""
    if name.startswith(URL_SCHEMES):
        return Path(urlsplit(name).path).stem or words_of_name(name)
    return Path(name).stem if is_path(name) else words_of_name(name)


def words_of_name(name: str) -> str:
    """Return the words of an input's name, without its folder and suffix, joined by hyphens."""
    return "-".join(re.findall(r"\w+", re.sub(r"\.\w{1,5}$", "", short_name(name)))) or "input"


def short_name(name: str) -> str:
    """Shorten the name of an input: to that of its file, without its folder, or to its first characters."""
    name = Path(name).name if name.startswith(URL_SCHEMES) or is_path(name) else name
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def is_path(name: str) -> bool:
    """Tell whether a file or a folder has this name."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with characters that no name has
        return False
