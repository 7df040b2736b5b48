"""Tests of Python: code that parses, and lines that may continue a program."""

import ast
import codeop
import textwrap
import warnings


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
    """Return the completed line after as many lines of its source as are the beginning of a program.

    A source may begin in the middle of a statement, so its first lines are left out until the rest is valid. All lines
    are dedented together.
    """
    *lines, unfinished = source.split("\n")
    line = unfinished + completion
    for start in range(len(lines)):
        context = "\n".join(lines[start:])
        if is_valid_prefix(textwrap.dedent(context) + "\n"):
            # A line with less indentation than the whole context ends the context's block, and is checked alone.
            is_inside = indentation(line) >= indentation(context)
            return textwrap.dedent(f"{context}\n{line}" if is_inside else line) + "\n"
    return textwrap.dedent(line) + "\n"


def indentation(code: str) -> int:
    """Return the smallest number of spaces before a line that is not blank."""
    return min((len(line) - len(line.lstrip()) for line in code.split("\n") if line.strip()), default=0)
