"""Find the task that reads an input of ``predict``, by the kind of the input."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from tasks.common.data.addresses import URL_SCHEMES
from tasks.common.data.folders import visible_paths
from tasks.common.data.inputs import ListedInput, ParsedInput
from tasks.common.data.media_files import AUDIO_SUFFIXES, FEATURE_SUFFIX, IMAGE_SUFFIXES, VIDEO_SUFFIXES
from tasks.common.task import Task

SUFFIXES = {
    "audio": (*AUDIO_SUFFIXES, FEATURE_SUFFIX),
    "image": (*IMAGE_SUFFIXES, FEATURE_SUFFIX),
    "video": (*VIDEO_SUFFIXES, FEATURE_SUFFIX),
}


def kinds_of_input(argument: str) -> list[str]:
    """Return the kinds that an input can be of, by the name of the file or of the first file in a folder.

    A .gif is an image or a video, a .npy file has features of any of them, and what has none of the suffixes is text.
    """
    path = Path(urlsplit(argument).path if argument.startswith(URL_SCHEMES) else argument)
    try:
        if path.is_dir():
            path = next((each for each in visible_paths(path) if each.is_file()), path)
    except (OSError, ValueError):  # a text that can't be a name
        return ["text"]
    return [kind for kind, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes] or ["text"]


def kinds_of_value(value: Any) -> list[str]:
    """Return the kinds that an object of the program can be of, as an input; content of files may be of any."""
    match value:
        case str() | Path():
            return kinds_of_input(str(value))
        case Image.Image():
            return ["image"]
        case np.ndarray():
            return [{1: "audio", 4: "frames"}.get(value.ndim, "image")]
        case (np.ndarray(), int()):
            return ["audio"]
    return ["text", *SUFFIXES]


def find_part(value: Any, parts: Mapping[str, Task]) -> tuple[str | None, str]:
    """Return the part that reads an input: the only one that there is, or that reads its kind.

    Returns:
        Its name; or None if no part reads the input or several do, and why, to be read after the input's name.
    """
    if len(parts) == 1:
        return next(iter(parts)), ""
    kinds = kinds_of_value(value)
    able = [name for name, part in parts.items() if not set(kinds).isdisjoint(part.input_kinds)]
    if len(able) == 1:
        return able[0], ""
    kind = " or ".join(kinds)
    if able:
        return None, f"({kind}) can be read by {' and by '.join(able)}: choose one of them with --task"
    known = dict.fromkeys(each for part in parts.values() for each in part.input_kinds)
    return None, f"is {kind}, which no task of this run reads; allowed are {', '.join(known)}"


def list_arguments(arguments: Sequence[str], parts: Mapping[str, Task]) -> Iterator[tuple[str, ListedInput]]:
    """List the inputs of a command in their order, each when it is asked for.

    Yields:
        The name of the part that reads the input, and the input. One that no part reads, or several do, has a
        problem; since it has no segments either, it is of no consequence that the first part is given for it.
    """
    for (name, problem), own in group_by_part(arguments, parts):
        inputs = [unreadable(each, problem) for each in own] if name is None else parts[name].list_inputs(own)
        for each in inputs:
            yield name or next(iter(parts)), each


def parse_listed(task: Task, listed: ListedInput) -> ParsedInput:
    """Read a listed input, unless it is known already that this is not possible."""
    return task.parse_input(listed) if listed.problem is None else ParsedInput(listed.name, problem=listed.problem)


def unreadable(value: Any, problem: str) -> ListedInput:
    """Return an input that no part reads."""
    name = str(value) if isinstance(value, (str, Path)) else f"an input ({type(value).__name__})"
    return ListedInput(name, problem=problem)


def count_arguments(arguments: Sequence[str], parts: Mapping[str, Task]) -> int | None:
    """Count the inputs that arguments name, without reading them; None if that is not possible."""
    counts = [
        len(own) if name is None else parts[name].count_inputs(own)
        for (name, _), own in group_by_part(arguments, parts)
    ]
    return sum(count or 0 for count in counts) if None not in counts else None


def group_by_part(
    arguments: Sequence[str], parts: Mapping[str, Task]
) -> Iterator[tuple[tuple[str | None, str], list[str]]]:
    """Yield what ``find_part`` returns for successive arguments, with these."""
    for found, own in itertools.groupby(arguments, lambda argument: find_part(argument, parts)):
        yield found, list(own)
