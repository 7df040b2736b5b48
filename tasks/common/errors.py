"""Errors that a user can fix: shown as one line, without a traceback, with exit code 2."""

import difflib
import errno
import os
import re
from collections.abc import Iterable

ADVICE = {  # by the number of an operating system's error
    errno.ENOSPC: "; free some space, then continue a training with --resume",
    errno.EACCES: "; change its permissions, or name another folder",
    errno.EROFS: "; name a folder that can be written",
}

# Packages that read and write files and the network, whose errors are about these, not about the code.
OUTSIDE = {"av", "httpcore", "httpx", "huggingface_hub", "PIL", "pyarrow", "requests", "safetensors", "soundfile"}

# What Gloo and NCCL say, without a type of its own, when another process of the command has ended.
LOST_PROCESS = ("closed by peer", "reset by peer", "Broken pipe", "remote process exited")

CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")  # what breaks lines, or changes what a terminal shows


class OneLineError(ValueError):
    """An error whose message is one line, also where names of files and columns in it have line breaks."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class UsageError(OneLineError):
    """A user's mistake. The message says what was got, what is allowed, and which flag or file to change."""


class MissingSplitError(UsageError):
    """Data have no examples of a split that was asked for."""


class NotFiniteError(UsageError):
    """A number that a model computes is infinite or NaN.

    Attributes:
        number: Its name.
    """

    def __init__(self, number: str):
        super().__init__(f"{number} is not finite: check the input, or train the model again with a lower train.lr")
        self.number = number


def describe_outside_error(error: BaseException) -> str | None:
    """Describe in one line an error of files, the network, an encoding or memory; None for an error of the code."""
    for each in reversed(causes(error)):  # the innermost says what happened
        packages = {kind.__module__.partition(".")[0] for kind in type(each).__mro__}
        if isinstance(each, OSError) and each.strerror:
            where = f"{each.filename}: " if each.filename is not None else ""
            return f"{where}{each.strerror}{ADVICE.get(each.errno or 0, '')}"
        if isinstance(each, OSError | UnicodeError | MemoryError) or not OUTSIDE.isdisjoint(packages):
            lines = str(each).strip().splitlines() or ["out of memory" if isinstance(each, MemoryError) else ""]
            # An error of a process that prepares batches comes with that process's traceback, and ends with the error.
            line = lines[-1 if lines[0].startswith("Caught ") else 0]
            advice = next((text for number, text in ADVICE.items() if os.strerror(number) in line), "")
            return f"{type(each).__name__}: {line}{advice}"
    return None


def one_line(text: str) -> str:
    """Escape line breaks and other control characters."""
    return CONTROL.sub(lambda match: repr(match.group())[1:-1], text)


def is_lost_process(error: BaseException) -> bool:
    """Tell whether an error says that another of several processes has ended."""
    shares = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return shares and isinstance(error, RuntimeError) and any(text in str(error) for text in LOST_PROCESS)


def causes(error: BaseException) -> list[BaseException]:
    """List an error and the errors that it was raised from, the innermost last."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain


def unknown_name(kind: str, got: str, allowed: Iterable[str], hint: str = "") -> UsageError:
    """Make the error for a name that does not exist, with the most similar name that does.

    Args:
        kind: The kind of thing that the name should be of: "column", "preset".
        got: The unknown name.
        allowed: All names that exist.
        hint: Further help, added at the end.
    """
    names = list(allowed)
    near = difflib.get_close_matches(got, names, n=1)
    suggestion = f"; did you mean {near[0]!r}" if near else ""
    return UsageError(f"unknown {kind} {got!r}{suggestion}; allowed are {', '.join(names)}{hint and '; ' + hint}")
