"""The inputs tried in fuzzing, and the answers that hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from tasks.common.errors import UsageError, describe_outside_error, one_line


class WrongAnswerError(AssertionError):
    """An answer that is wrong, without a word about it."""


@dataclass(frozen=True)
class Reader:
    """A reader of inputs.

    Attributes:
        inputs: What it is tried with; the values are of Python's literals, so that they can be saved as text.
        read: Reads an input. Raises ``WrongAnswerError``, or whatever the reader should not have raised.
        count: The number of inputs in a value, where it holds several.
        mean_count: That number in most values, or somewhat less.
    """

    inputs: SearchStrategy[Any]
    read: Callable[[Any], None]
    count: Callable[[Any], int] = lambda value: 1
    mean_count: int = 1


def answer(function: Callable[..., Any], *arguments: Any, refusals: type[Exception] = UsageError) -> tuple[Any, str]:
    """Call a function, and return its answer and an empty text, or None and the one line with which it refuses.

    Args:
        function: The function.
        *arguments: Its arguments.
        refusals: What it may raise. Besides UsageError, errors of files that ``tasks.run`` shows in one line are
            refusals; too little memory is none.
    """
    try:
        return function(*arguments), ""
    except refusals as error:
        line = str(error)
    except Exception as error:
        line = describe_outside_error(error) if refusals is UsageError else None
        if line is None or isinstance(error, MemoryError):
            raise
        line = one_line(line)
    check(len(line.splitlines()) == 1, "a message of several lines, or none", line)
    return None, line


def check(is_right: bool, kind: str, *details: Any) -> None:
    """Raise WrongAnswerError, whose first line is the kind of mistake, unless something is right."""
    if not is_right:
        raise WrongAnswerError("\n".join([kind, *map(repr, details)]))


def is_same(first: Any, second: Any) -> bool:
    """Compare answers, of arrays to the last bit; NaN is the same as NaN."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        is_float = np.issubdtype(first.dtype, np.floating)
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=is_float)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(is_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(is_same(first[key], second[key]) for key in first)
    if type(first) is not type(second) and not (isinstance(first, (int, float)) and isinstance(second, (int, float))):
        return False
    return bool(first == second) or (first != first and second != second)
