"""The flags of ``lesson``."""

from dataclasses import dataclass

from lessons import LESSONS
from tasks.common.cli.arguments import parse
from tasks.common.errors import unknown_name
from tasks.common.program import program


@dataclass(frozen=True)
class LessonOptions:
    """Measure a claim of the tutorial on the toy world: train what it needs, print a table and save a figure."""

    run: str = "runs/lessons"
    """Folder for the table and the figure of each lesson."""
    tiny: bool = False
    """Train for seconds, to test the installation; the result means nothing."""


def parse_command(arguments: list[str]) -> tuple[str | None, LessonOptions]:
    """Parse the arguments of ``lesson``: the name of a lesson, None for a list of them, and the options.

    Raises:
        UsageError: for an unknown lesson or flag.
    """
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if name is not None and name not in LESSONS:
        raise unknown_name("lesson", name, LESSONS)
    flags = arguments if name is None else arguments[1:]
    return name, parse(LessonOptions, flags, f"{program()} lesson {name or 'NAME'}", LessonOptions())
