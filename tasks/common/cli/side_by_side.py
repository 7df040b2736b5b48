"""Independent work in several processes at once, each with its share of the cores, and its console lines labeled."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from io import TextIOBase
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

import torch

from tasks.common.console import console
from tasks.common.cores import count_cores

R = TypeVar("R")
GRACE_S = 30  # for a step and the save of a training that is told to stop


class LabeledLines(TextIOBase):
    """Standard error, with a label before each line. It is no terminal, so there are no progress bars on it."""

    def __init__(self, label: str):
        self.label = label
        self.begins_line = True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            sys.stderr.write(f"{self.label}  {line}" if self.begins_line else line)
            self.begins_line = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()


def run_side_by_side(
    function: Callable[..., R], names: Sequence[str], *arguments: Any, cores: int | None = None
) -> Iterator[tuple[str, R]]:
    """Call ``function(name, *arguments)`` for each name, as many at once as there are cores.

    A small model gains less from a second core than two models gain from one core each.

    Args:
        function: A function of a module, which another process can import; its results can be pickled.
        names: Labels of the console lines, and first arguments. The calls begin in this order.
        arguments: The other arguments.
        cores: The number of cores (default: those of this process).

    Yields:
        A name and its result, in the order in which they are finished.
    """
    cores = cores or count_cores()
    num_processes = min(cores, len(names))
    width = max(map(len, names))
    if num_processes == 1:
        for name in names:
            yield name, call_labeled(name.ljust(width), function, name, *arguments)
        return
    # CUDA and thread pools do not survive a fork.
    with ProcessPoolExecutor(num_processes, get_context("spawn"), prepare_process, (cores // num_processes,)) as pool:
        futures: dict[Future[R], str] = {
            pool.submit(call_labeled, name.ljust(width), function, name, *arguments): name for name in names
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def prepare_process(num_threads: int) -> None:
    """Limit this process to its share of the cores, and end it as Ctrl-C would if its parent is killed."""
    torch.set_num_threads(num_threads)
    parent = parent_process()
    assert parent is not None

    def follow() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_S)  # the pool takes the exit of a stopped training for a result, and waits for more work
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()


def call_labeled(label: str, function: Callable[..., R], *arguments: Any) -> R:
    """Call a function whose lines on the console begin with a label."""
    console.file = LabeledLines(label)  # type: ignore[assignment]
    try:
        return function(*arguments)
    finally:
        console.file = None  # type: ignore[assignment]  # standard error itself
