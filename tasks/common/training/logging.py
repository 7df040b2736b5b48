"""What a person sees of a run while it runs, and how a person stops it."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tasks.common.errors import UsageError

console = Console(stderr=True, highlight=False, soft_wrap=True)  # standard output is for results alone


class ProgressBar:
    """A progress bar on a terminal, nothing elsewhere: a log file gets lines, not bars."""

    def __init__(self, title: str, total: int, shown: bool):
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.progress = Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal))
        self.task = self.progress.add_task(title, total=total)

    def __enter__(self) -> "ProgressBar":
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def advance(self) -> None:
        self.progress.advance(self.task)


class TensorBoardLogger:
    """The same numbers as metrics.jsonl for TensorBoard, if wanted."""

    def __init__(self, folder: Path, wanted: bool):
        self.writer = None
        if wanted:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise UsageError("--train.tensorboard needs TensorBoard: pip install tensorboard") from error
            self.writer = SummaryWriter(str(folder))

    def add(self, record: dict[str, Any], update: int) -> None:
        if self.writer is None:
            return
        for name, value in record.items():
            if isinstance(value, dict):
                self.add({f"{name}/{inner}": number for inner, number in value.items()}, update)
            elif isinstance(value, (int, float)):
                self.writer.add_scalar(name, value, update)
        self.writer.flush()


def init_worker(_: int) -> None:
    """For a process that prepares batches: the signals are its parent's business, and so are threads.

    After a fork tokenizers' pool of threads would wait for threads that were not copied.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class StopSignal:
    """Turns Ctrl-C and SIGTERM into a flag, so that an update is never cut in half; a second one stops at once."""

    def __init__(self):
        self.received = 0

    def __enter__(self) -> "StopSignal":
        self.previous = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def note(self, number: int, _: FrameType | None) -> None:
        if self.received:
            sys.exit(128 + number)
        self.received = number
        console.print("stopping after this update ...")
