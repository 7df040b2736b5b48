"""Tests of Python: code that parses, and lines that may continue a program."""

import ast
import codeop
import textwrap
import warnings
from functools import lru_cache

MAX_CONTEXT_LINES = 200


def parses(code: str) -> bool:
    """Tell whether code is valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def is_valid_prefix(code: str) -> bool:
    """Tell whether a program may begin with this code: it may be unfinished, but not wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            codeop.compile_command(code, symbol="exec")
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return False
    return True


def code_context(source: str, completion: str) -> str:
    """Return the completed line after as many of the last lines of its source as are the beginning of a program.

    A line with less indentation than the whole context ends the context's block, and is checked alone.
    """
    context = valid_context(source)
    line = source.rpartition("\n")[2] + completion
    if context is None or indentation(line) < indentation(context):
        return textwrap.dedent(line) + "\n"
    return textwrap.dedent(f"{context}\n{line}") + "\n"


@lru_cache(maxsize=1)  # the hypotheses of a source are checked one after the other
def valid_context(source: str) -> str | None:
    """Return the longest end of a source's lines that a program may begin with, without the unfinished last line.

    A source may begin in the middle of a statement, so its first lines are left out until the rest is valid, at most
    MAX_CONTEXT_LINES of them: each trial parses all of the rest. None if there is no valid line.
    """
    lines = source.split("\n")[:-1][-MAX_CONTEXT_LINES:]
    contexts = ("\n".join(lines[start:]) for start in range(len(lines)))
    return next((each for each in contexts if is_valid_prefix(textwrap.dedent(each) + "\n")), None)


def indentation(code: str) -> int:
    """Return the smallest number of spaces before a line that is not blank."""
    return min((len(line) - len(line.lstrip()) for line in code.split("\n") if line.strip()), default=0)
