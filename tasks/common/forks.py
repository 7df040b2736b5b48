"""Processes forked from this one, which are to end with it however it ends: a killed process can't tell them."""

import functools
import os
import threading
import time

POLL_S = 1.0


@functools.cache
def end_forks_with_parent() -> None:
    """Let processes that are forked from now on end when their parent has ended, where there are forks."""
    if hasattr(os, "register_at_fork"):
        watch = ParentWatch()
        os.register_at_fork(before=watch.remember_parent, after_in_child=watch.start)


class ParentWatch:
    """A thread of each forked process, which ends it with its parent."""

    def remember_parent(self) -> None:
        self.parent = os.getpid()  # the child may be too late to ask for it

    def start(self) -> None:
        threading.Thread(target=end_with, args=(self.parent,), daemon=True).start()


def end_with(parent: int) -> None:
    """Wait until this process has another parent, and end it."""
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)
