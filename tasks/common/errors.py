"""What a user can put right: shown as one line, without a traceback, with exit code 2."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class UsageError(ValueError):
    """Says what was got, what is allowed, and which flag or file to change."""


def unknown_name(kind: str, got: str, allowed: Iterable[str], hint: str = "") -> UsageError:
    """The error for a name that does not exist, with the nearest name that does."""
    names = list(allowed)
    near = difflib.get_close_matches(got, names, n=1)
    suggestion = f"; did you mean {near[0]!r}" if near else ""
    return UsageError(f"unknown {kind} {got!r}{suggestion}; allowed are {', '.join(names)}{hint and '; ' + hint}")


def check(group: str, config: Any, allowed: Mapping[str, tuple[bool, str]]) -> None:
    """Raise ValueError for the first setting of a group whose value is not right; each comes with what is allowed."""
    for name, (right, values) in allowed.items():
        if not right:
            raise ValueError(f"{group}.{name.replace('_', '-')} is {getattr(config, name)}; allowed is {values}")


def at_least(least: int, config: Any, *names: str) -> dict[str, tuple[bool, str]]:
    """For ``check``: settings that may not be smaller."""
    return {name: (getattr(config, name) >= least, f"{least} or more") for name in names}
