"""What a user can put right: shown as one line, without a traceback, with exit code 2."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Says what was got, what is allowed, and which flag or file to change."""


def unknown(kind: str, got: str, allowed: Iterable[str], hint: str = "") -> UsageError:
    """The error for a name that does not exist, with the nearest name that does."""
    names = list(allowed)
    near = difflib.get_close_matches(got, names, n=1)
    suggestion = f"; did you mean {near[0]!r}" if near else ""
    return UsageError(f"unknown {kind} {got!r}{suggestion}; allowed are {', '.join(names)}{hint and '; ' + hint}")
