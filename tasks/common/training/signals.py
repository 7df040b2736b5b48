"""The reaction of training to signals."""

import os
import signal
import sys
from types import FrameType
from typing import Any

from tasks.common.console import console


def init_worker(_: int) -> None:
    """Prepare a process that collates batches: signals are handled by its parent, and threads of tokenizers are off.

    After a fork, the thread pool of tokenizers would wait for threads that were not copied.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class StopSignal:
    """Turns Ctrl-C and SIGTERM into a flag, so that a step is never interrupted; a second signal exits at once."""

    def __init__(self):
        self.received = 0

    def __enter__(self) -> "StopSignal":
        self.previous = {number: signal.signal(number, self.receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def receive(self, number: int, _: FrameType | None) -> None:
        if self.received:
            sys.exit(128 + number)
        self.received = number
        console.print("stopping after this step ...")
