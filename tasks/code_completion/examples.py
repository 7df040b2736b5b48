"""How a file of Python becomes examples: which of its lines are asked for, and where they are cut."""

import ast
import hashlib
import io
import random
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from typing import Literal

Cut = Literal["any", "line", "rest"]
Example = dict[str, str]

TRAINED, TESTED = 3, 12  # one line of so many is cut, in training and else
CONTEXT = 30  # lines before the cut
ASIDE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def examples(code: str, cut: Cut, split: str) -> Iterator[Example]:
    """Some of a file's lines, each cut before one of its tokens, or before the line itself.

    Comments, blank lines, tables of data and texts of several lines are not asked for. The same file is always cut
    alike.
    """
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    lines = code.split("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            statements = ast.parse(code).body
            places = starts(code)
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
        return
    draw = drawn_by(code)
    for statement in statements:
        first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))]) - 1
        last = statement.end_lineno or first
        for row in range(first, last):
            columns, end = places.get(row, ([], None))
            column = place(draw, columns, cut, split)
            if column is None:
                continue
            source = "\n".join([*lines[max(0, row - CONTEXT) : row], lines[row][:column]])
            target = lines[row][column:end].rstrip()
            if source.strip() and target and "\0" not in source + target:
                tested = split != "train"
                head = "\n".join([*lines[first:row], lines[row][:column]]) if tested else ""
                tail = "\n".join(lines[row + 1 : last]) if tested else ""
                yield {"source": source, "target": target, "head": head, "tail": tail}


def detokenize_code(text: str) -> str:
    """Code as CodeXGLUE writes it into a line, in lines again. Its literals stay masked, and indentation is lost."""
    if "<EOL>" not in text and not text.startswith("<s>"):
        return text
    return text.removeprefix("<s>").removesuffix("</s>").strip().replace(" <EOL> ", "\n").replace("<EOL>", "\n")


def masked_examples(line: str, cut: Cut, split: str) -> Iterator[Example]:
    """The same of a file in CodeXGLUE's form, whose tokens stand between spaces."""
    draw = drawn_by(line)
    lines = [each.strip() for each in detokenize_code(line).split("\n")]
    for row, text in enumerate(lines):
        column = place(draw, [match.start() for match in re.finditer(r"\S+", text)], cut, split)
        if column is not None:
            source = "\n".join([*lines[max(0, row - CONTEXT) : row], text[:column]])
            if source.strip():
                yield {"source": source, "target": text[column:]}


def drawn_by(code: str) -> random.Random:
    return random.Random(hashlib.sha256(code.encode("utf-8", "replace")).digest())


def place(draw: random.Random, columns: Sequence[int], cut: Cut, split: str) -> int | None:
    """Where to cut a line whose tokens begin at ``columns``; None: nowhere."""
    if not columns or draw.randrange(TRAINED if split == "train" else TESTED):
        return None
    if cut == "line" or (cut == "any" and (len(columns) == 1 or draw.random() < 1 / 3)):
        return 0
    return draw.choice(columns[1:]) if len(columns) > 1 else None


def starts(code: str) -> dict[int, tuple[list[int], int | None]]:
    """Where tokens begin in each line, and where its comment does.

    Only lines with a name: others are tables of data, or brackets. And none that is part of a text of several lines.
    """
    found: dict[int, list[int]] = {}
    comments: dict[int, int] = {}
    named: set[int] = set()
    texts: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0] - 1] = token.start[1]
        if token.type in ASIDE:
            continue
        if token.start[0] != token.end[0]:
            texts |= set(range(token.start[0] - 1, token.end[0]))
        if token.type == tokenize.NAME:
            named.add(token.start[0] - 1)
        found.setdefault(token.start[0] - 1, []).append(token.start[1])
    return {row: (columns, comments.get(row)) for row, columns in found.items() if row in named - texts}
