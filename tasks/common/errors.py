"""Errors that a user can fix: shown as one line, without a traceback, with exit code 2."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A user's mistake. The message says what was got, what is allowed, and which flag or file to change."""


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
