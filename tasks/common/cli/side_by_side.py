"""Independent work in several processes at once, each with its share of the cores, and its console lines labeled."""

import itertools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from io import TextIOBase
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

import torch

from tasks.common.allocation import keep_freed_memory
from tasks.common.console import console
from tasks.common.cores import count_cores, limit_cores
from tasks.common.errors import UsageError

R = TypeVar("R")


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

    Raises:
        Exception: the first error of a call. The other calls are stopped: a training saves its state and ends.
    """
    cores = cores or count_cores()
    num_processes = min(cores, len(names))
    width = max(map(len, names))
    if num_processes == 1:
        for name in names:
            yield name, call_labeled(name.ljust(width), function, name, *arguments)
        return
    context = get_context("spawn")  # CUDA and thread pools do not survive a fork
    waiting = iter(names)
    running: dict[Any, tuple[str, Any]] = {}  # the name and the process of each call, by the end of its pipe

    def start_next() -> None:
        for name in itertools.islice(waiting, 1):
            receiver, sender = context.Pipe(duplex=False)
            call = sender, cores // num_processes, name.ljust(width), function, name, *arguments
            process = context.Process(target=run_call, args=call)
            process.start()
            sender.close()
            running[receiver] = name, process

    try:
        for _ in range(num_processes):
            start_next()
        while running:
            receiver: Any = connection.wait(list(running))[0]
            name, process = running[receiver]
            result = receive_result(receiver, name, process)
            del running[receiver]
            start_next()
            yield name, result
    except KeyboardInterrupt:  # the terminal has sent it to all processes; a second signal would end them at once
        raise
    except BaseException:
        for _, process in running.values():
            process.terminate()
        raise
    finally:
        for _, process in running.values():
            process.join()


def receive_result(receiver: connection.Connection, name: str, process: Any) -> Any:
    """Receive the result of a call when its process ends.

    Raises:
        Exception: the error of the call.
        SystemExit: the process was told to stop.
        UsageError: the process was killed.
    """
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        if process.exitcode > 0:
            raise SystemExit(process.exitcode) from None
        raise UsageError(f"{name}: its process was killed by signal {-process.exitcode}") from None
    process.join()
    if error is not None:
        raise error
    return result


def run_call(sender: connection.Connection, num_cores: int, label: str, function: Callable, *arguments: Any) -> None:
    """Call a function in a process of its own, and send its result and its error, one of which is None."""
    torch.set_num_threads(num_cores)
    limit_cores(num_cores)
    keep_freed_memory()
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        sender.send((call_labeled(label, function, *arguments), None))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        error.add_note(traceback.format_exc())  # it is lost on the way to the other process
        sender.send((None, error))


def end_with_parent() -> None:
    """Wait for the end of the parent, which may be killed, and end this process as its terminal would."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def call_labeled(label: str, function: Callable[..., R], *arguments: Any) -> R:
    """Call a function whose lines on the console begin with a label."""
    console.file = LabeledLines(label)  # type: ignore[assignment]
    try:
        return function(*arguments)
    finally:
        console.file = None  # type: ignore[assignment]  # standard error itself
