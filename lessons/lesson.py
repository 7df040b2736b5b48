"""The command ``lesson``."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lessons import LESSONS
from lessons.lesson_options import LessonOptions
from tasks.common.cli.variants import to_markdown
from tasks.common.console import console
from tasks.common.files import save_atomically
from tasks.common.program import program

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Result:
    """The result of a lesson.

    Attributes:
        rows: The table: the same columns in each row.
        figure: The figure.
    """

    rows: list[dict[str, str]]
    figure: "Figure"


def lesson(name: str | None, options: LessonOptions) -> None:
    """Run ``run.py lesson [NAME]``."""
    if name is None:
        return list_lessons()
    started = time.monotonic()
    console.print(f"{name}: {LESSONS[name]}; up to three minutes on two cores")
    result: Result = import_module(f"lessons.{name}").run(options.tiny)
    folder = Path(options.run)
    save_atomically(folder / f"{name}.md", to_markdown(result.rows))
    from tasks.common.analysis.plots.figure import save_figure  # matplotlib takes its time

    save_figure(result.figure, folder / f"{name}.png")
    print_table(result.rows)
    console.print(f"{folder / name}.md and {folder / name}.png, after {time.monotonic() - started:.0f} s")


def mean_and_range(results: Sequence[float], decimals: int = 1) -> str:
    """Return a cell with the mean and the range of the results of several seeds."""
    mean, low, high = (f"{value:.{decimals}f}" for value in (fmean(results), min(results), max(results)))
    return f"{mean} ({low} to {high})"


def list_lessons() -> None:
    for name, description in LESSONS.items():
        print(f"{name:20} {description}")
    print(f"\n{program()} lesson NAME measures it on the toy world, in up to three minutes on two cores.")


def print_table(rows: list[dict[str, str]]) -> None:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)
