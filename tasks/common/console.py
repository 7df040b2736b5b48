"""The console for progress and notes: it writes to standard error, since standard output is for results alone."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

IS_MAIN_PROCESS = os.environ.get("RANK", "0") == "0"  # of several processes, one writes to the console

# What is printed contains names of files, in which [b] and :smile: are no markup.
console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False, quiet=not IS_MAIN_PROCESS)

DELAY_S = 2.0  # a stage that takes less time is not announced

Advance = Callable[[int], None]  # counts finished items


class _Bars:
    """The bars of all stages in progress. Stages nest (validation in training), and a terminal has one live display."""

    def __init__(self):
        self.progress: Progress | None = None
        self.num_open = 0

    @contextmanager
    def open(self, title: str, total: int | None) -> Iterator[Advance]:
        if self.progress is None:
            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
            # Redirecting standard output would send results to standard error.
            self.progress = Progress(
                *columns, TimeRemainingColumn(), console=console, transient=True, redirect_stdout=False
            )
            self.progress.start()
        progress = self.progress
        self.num_open += 1
        bar = progress.add_task(title, total=total)
        try:
            yield lambda count: progress.advance(bar, count)
        finally:
            progress.remove_task(bar)
            self.num_open -= 1
            if not self.num_open:
                progress.stop()
                self.progress = None


_bars = _Bars()
_said: set[str] = set()


@contextmanager
def stage(title: str, total: int | None = None, *, announce: bool = True) -> Iterator[Advance]:
    """Show the progress of a stage of work: a bar on a terminal; elsewhere one line, so that a log contains lines only.

    Args:
        title: What is done, as "reading audio"; nothing about numbers or time.
        total: The number of items; None if it is not known.
        announce: Whether a log without a terminal gets a line, after ``DELAY_S`` seconds.

    Yields:
        A function to call with the number of items that have been finished since the last call.
    """
    if console.is_terminal and not console.quiet:
        with _bars.open(title, total) as advance:
            yield advance
    else:
        count = "" if total is None else f" ({total:,})"
        timer = threading.Timer(DELAY_S, console.print, [f"{title}{count} ..."])
        timer.daemon = True
        if announce:
            timer.start()
        try:
            yield lambda count: None
        finally:
            timer.cancel()


def warn_once(text: str) -> None:
    """Print a warning, unless this process has printed the same one before."""
    if text not in _said:
        _said.add(text)
        console.print(text)
