"""Inputs of ``predict`` that are files: given by names, folders, web addresses, or - for standard input."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.common.data.addresses import URL_SCHEMES, fetch
from tasks.common.data.containers import Note
from tasks.common.data.folders import visible_paths
from tasks.common.data.media_files import MediaError
from tasks.common.streams import read_standard_input

TEXTS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".srt", ".vtt")  # as they lie beside media

ParseFile = Callable[
    [dict[str, Any], Note], list["InputSegment"]
]  # raises ValueError, as MediaError, if a file can't be used


@dataclass(frozen=True)
class InputSegment:
    """A source to generate a sentence for: an input to ``predict``, or a part of it.

    Attributes:
        source: The source, in the form that the task's ``collate_sources`` reads.
        span: Its begin and end in seconds, where sources have a duration.
    """

    source: Any
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class ListedInput:
    """An input to ``predict`` that is known, but has not been read yet; it can be sent to another process.

    Attributes:
        name: The input as the user named it: a file, an address, or a text itself.
        content: A text, or the content of standard input; None for what is read by its name.
        problem: Why it can't be read, to be read after its name; None if it may be.
    """

    name: str
    content: str | bytes | None = None
    problem: str | None = None


@dataclass(frozen=True)
class ParsedInput:
    """An input to ``predict``.

    Attributes:
        name: The input as the user named it: a file, an address, or a text itself.
        segments: Its segments in order: one, several if it is split, none if there is nothing in it.
        notes: What is to be said of it, such as damage.
        problem: Why it can't be used, to be read after its name; None if it can.
        is_named: Whether messages call it by its name; a text is called by its number.
    """

    name: str
    segments: Sequence[InputSegment] = ()
    notes: Sequence[str] = ()
    problem: str | None = None
    is_named: bool = True


@dataclass(frozen=True)
class BuiltinInput:
    """A test input of built-in data.

    Attributes:
        value: The input as a user gives it: a text, or the content of a file.
        reference: A correct sentence.
    """

    value: str | bytes
    reference: str


def list_file_inputs(
    arguments: Iterable[str], is_single_input: Callable[[Path], bool] = Path.is_file
) -> Iterator[ListedInput]:
    """Yield the files that arguments of the command line name; standard input is read when it is asked for.

    Args:
        arguments: The arguments. A folder means all inputs in it and in the folders inside, without the texts beside
            them.
        is_single_input: Tells whether a path, also that of a folder, is a single input.
    """
    for name in list_files(arguments, is_single_input):
        yield ListedInput("standard input", read_standard_input()) if name == "-" else ListedInput(name)


def list_files(arguments: Iterable[str], is_single_input: Callable[[Path], bool]) -> Iterator[str]:
    """Yield the path or address of each file, - for standard input; the folder itself for one without files."""
    for argument in arguments:
        path = Path(argument)
        if argument != "-" and is_folder(path) and not is_single_input(path):
            yield from list(map(str, inputs_in(path, is_single_input))) or [argument]
        else:
            yield argument


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder of this name, which may be too long for one."""
    try:
        return path.is_dir()
    except OSError:
        return False


def inputs_in(folder: Path, is_single_input: Callable[[Path], bool]) -> Iterator[Path]:
    """Find the inputs in a folder and in the folders inside, in the order of their names."""
    for path in visible_paths(folder):
        if is_media(path) or (path.is_dir() and is_single_input(path)):
            yield path
        elif path.is_dir() and not path.is_symlink():  # a link may lead back
            yield from inputs_in(path, is_single_input)


def is_media(path: Path) -> bool:
    """Tell whether a path in a folder may be an input: a file that is no text."""
    return path.is_file() and path.suffix.lower() not in TEXTS


def parse_file_input(name: str, file: dict[str, Any], parse_file: ParseFile) -> ParsedInput:
    """Parse a file, fetched first if it is a web address; one that can't be used has a problem.

    Args:
        name: The input as the user named it.
        file: Its ``path``, or its content as ``bytes``.
        parse_file: Makes the segments of a file, and notes what is to be said of it.
    """
    notes: list[str] = []
    try:
        if file["bytes"] is None and name.startswith(URL_SCHEMES):  # what has content is not looked for by its name
            file["path"] = fetch(name)
        elif file["bytes"] is None and Path(name).is_dir() and not any(map(is_media, visible_paths(Path(name)))):
            raise MediaError("is a folder without files")
        segments = parse_file(file, notes.append)
    except (ValueError, OSError) as error:
        problem = f"can't be read ({error.strerror})" if isinstance(error, OSError) else str(error)
        return ParsedInput(name, problem=problem)
    return ParsedInput(name, segments, notes)
