"""Make examples from a file of Python: choose lines to complete, and the columns where the completions begin."""

import ast
import hashlib
import io
import random
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence

from tasks.code_completion.config import Completion

Example = dict[str, str]

TRAIN_STRIDE, EVAL_STRIDE = 3, 12  # one line of so many is completed
CONTEXT_LINES = 30
NON_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def make_examples(code: str, completion: Completion, split: str) -> Iterator[Example]:
    """Choose some lines of a file at random, but always the same ones, and divide each into source and target.

    Comments, blank lines, tables of data and strings of several lines are not chosen.

    Args:
        code: The content of the file.
        completion: The part of a line to complete: the rest after a token (rest), the whole line (line), or either
            (any).
        split: train, validation or test.

    Yields:
        source, target, and head and tail: the top-level statement around the target, before and after it. They are
        empty in training.

    Raises:
        SyntaxError: the code is not valid in this version of Python.
    """
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    lines = code.split("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            statements = ast.parse(code).body
            columns_by_row = token_columns(code)
    except (ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise SyntaxError(str(error)) from error
    generator = seeded_generator(code)
    for statement in statements:
        first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))]) - 1
        last = statement.end_lineno or first
        for row in range(first, last):
            columns, end = columns_by_row.get(row, ([], None))
            column = choose_column(generator, columns, completion, split)
            if column is None:
                continue
            source = "\n".join([*lines[max(0, row - CONTEXT_LINES) : row], lines[row][:column]])
            target = lines[row][column:end].rstrip()
            if source.strip() and target and "\0" not in source + target:
                is_train = split == "train"
                head = "" if is_train else "\n".join([*lines[first:row], lines[row][:column]])
                tail = "" if is_train else "\n".join(lines[row + 1 : last])
                yield {"source": source, "target": target, "head": head, "tail": tail}


def detokenize_code(text: str) -> str:
    """Restore the lines of code in CodeXGLUE's form; its literals stay masked, and its indentation is lost."""
    if "<EOL>" not in text and not text.startswith("<s>"):
        return text
    return text.removeprefix("<s>").removesuffix("</s>").strip().replace(" <EOL> ", "\n").replace("<EOL>", "\n")


def make_masked_examples(line: str, completion: Completion, split: str) -> Iterator[Example]:
    """Make examples, with source and target, from a file in CodeXGLUE's form, whose tokens are separated by spaces."""
    generator = seeded_generator(line)
    lines = [each.strip() for each in detokenize_code(line).split("\n")]
    for row, text in enumerate(lines):
        columns = [match.start() for match in re.finditer(r"\S+", text)]
        column = choose_column(generator, columns, completion, split)
        if column is not None:
            source = "\n".join([*lines[max(0, row - CONTEXT_LINES) : row], text[:column]])
            if source.strip():
                yield {"source": source, "target": text[column:]}


def seeded_generator(code: str) -> random.Random:
    """Return a random generator that depends on the content of a file alone."""
    return random.Random(hashlib.sha256(code.encode("utf-8", "replace")).digest())


def choose_column(generator: random.Random, columns: Sequence[int], completion: Completion, split: str) -> int | None:
    """Choose the column where a line's completion begins, or None if the line is not completed.

    Args:
        generator: The random generator.
        columns: The columns where the line's tokens begin.
        completion: As in ``make_examples``.
        split: As in ``make_examples``.
    """
    if not columns or generator.randrange(TRAIN_STRIDE if split == "train" else EVAL_STRIDE):
        return None
    if completion == "line" or (completion == "any" and (len(columns) == 1 or generator.random() < 1 / 3)):
        return 0
    return generator.choice(columns[1:]) if len(columns) > 1 else None


def token_columns(code: str) -> dict[int, tuple[list[int], int | None]]:
    """Find the columns where the tokens of each line begin, and the column of its comment (None: it has none).

    Lines without a name, which are data or brackets, and lines of strings of several lines are left out.
    """
    columns: dict[int, list[int]] = {}
    comments: dict[int, int] = {}
    rows_with_names: set[int] = set()
    rows_in_strings: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        row, column = token.start[0] - 1, token.start[1]
        if token.type == tokenize.COMMENT:
            comments[row] = column
        if token.type in NON_CODE:
            continue
        if token.start[0] != token.end[0]:
            rows_in_strings |= set(range(row, token.end[0]))
        if token.type == tokenize.NAME:
            rows_with_names.add(row)
        columns.setdefault(row, []).append(column)
    return {
        row: (found, comments.get(row)) for row, found in columns.items() if row in rows_with_names - rows_in_strings
    }
