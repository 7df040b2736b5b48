"""Flags made from dataclasses by tyro, with every mistake told in one line."""

import contextlib
import io
import re
from typing import Any

import tyro

from tasks.common.errors import UsageError


def parse(kind: Any, arguments: list[str], program: str, default: Any = tyro.MISSING) -> Any:
    """An instance of the dataclass ``kind`` from flags. ``--help`` prints and leaves; a mistake is a UsageError."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, default=default, args=arguments, prog=program)
    except ValueError as error:  # what a configuration says of its own values
        raise UsageError(str(error)) from error
    except SystemExit as leaving:
        if not leaving.code:
            raise
    # tyro explains itself in a frame of several lines; here a mistake is one line, also in a script's log.
    words = " ".join(re.sub(r"[─│╭╮╰╯]+|-{3,}", " ", complaint.getvalue()).split())
    words = re.sub(r"For full helptext, (run|see) .*", "", words)
    raise UsageError(re.sub(r"^(Value error|Invalid choice|Unrecognized options|Parsing error) ", "", words).strip())
