"""Python to complete: the standard library's own source, a folder of files, CodeXGLUE's files, or tables of pairs."""

import ast
import hashlib
import io
import random
import sysconfig
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from datasets import Dataset

from tasks import cache
from tasks.data import SPLITS, split_of
from tasks.errors import UsageError
from tasks.pairs import load_pairs, text_lines

Cut = Literal["any", "line", "rest"]
Example = dict[str, str]

TRAINED, TESTED = 3, 12  # one line of so many is cut, in training and else
HELD_OUT = 1000  # examples of validation and test, at most
CONTEXT = 30  # lines before the cut
OTHERS = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages"}  # of the standard library's folders
ASIDE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def load_code(data: str | None, split: str, source: str, target: str, cut: Cut, skip_bad: bool) -> Dataset:
    """Columns source, target and references of a split; where they are cut from files, also head and tail: what stands
    before and behind the target in its top-level statement (empty in training).

    Modules of the standard library, and the files of a folder, belong to one split as a whole. Files that are no
    Python of this version are passed over. Raises UsageError for data that is missing or bad.
    """
    if data is None:
        root = Path(sysconfig.get_paths()["stdlib"])
        files = [file for file in sorted(root.rglob("*.py")) if not OTHERS & {*file.relative_to(root).parts}]
        own = [file for file in files if split_of(file.relative_to(root).parts[0]) == split]
        return cut_files(own, cut, split, f"{root}, {split}")
    folder = Path(data)
    for name in SPLITS[split]:
        listed, inside = folder / f"{name}.txt", sorted((folder / name).rglob("*.py"))
        if listed.is_file():
            codes = map(detokenised, text_lines(listed.read_bytes()))
            return chosen(table_of(codes, cut, split), split, str(listed))
        if inside:
            return cut_files(inside, cut, split, str(folder / name))
    files = sorted(folder.rglob("*.py"))
    if files:
        own = [file for file in files if split_of(str(file.relative_to(folder))) == split]
        return cut_files(own, cut, split, f"{folder}, {split}")
    return load_pairs(data, split, source, target, skip_bad, tidy=str.rstrip)


def detokenised(line: str) -> str:
    """A file as CodeXGLUE writes it into a line. Its literals stay masked."""
    return line.removeprefix("<s>").removesuffix("</s>").strip().replace(" <EOL> ", "\n")


def cut_files(files: Sequence[Path], cut: Cut, split: str, where: str) -> Dataset:
    """Examples from files, kept until one of them changes."""
    if not files:
        raise UsageError(f"{where}: no Python file is left for this split; more of them are needed")
    key = hashlib.sha256(Path(__file__).read_bytes() + f"{cut} {split}".encode())
    for file in files:
        key.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    table = Dataset.from_dict({"file": [str(file) for file in files]}).map(
        partial(cut_some, cut=cut, split=split),
        batched=True,
        batch_size=20,
        remove_columns=["file"],
        num_proc=cache.processes(len(files)),
        cache_file_name=str(cache.folder() / f"code-{key.hexdigest()[:24]}.arrow"),
    )
    return chosen(table, split, where)


def cut_some(files: Mapping[str, list[str]], cut: Cut, split: str) -> dict[str, list]:
    return table_of(map(read, files["file"]), cut, split)[:]


def read(file: str) -> str:
    """A source file in the encoding that it declares; nothing, if that is not true."""
    try:
        with tokenize.open(file) as opened:
            return opened.read()
    except (SyntaxError, UnicodeDecodeError, OSError):
        return ""


def table_of(codes: Iterable[str], cut: Cut, split: str) -> Dataset:
    rows = [example for code in codes for example in examples(code, cut, split)]
    names = ("source", "target", "head", "tail")
    columns = {name: [row[name] for row in rows] for name in names}
    return Dataset.from_dict(columns | {"references": [[row["target"]] for row in rows]})


def chosen(table: Dataset, split: str, where: str) -> Dataset:
    """All examples for training, some for the other splits."""
    if not len(table):
        raise UsageError(f"{where}: no line of Python could be cut")
    if split == "train" or len(table) <= HELD_OUT:
        return table
    return table.select(sorted(random.Random(1).sample(range(len(table)), HELD_OUT)))


def examples(code: str, cut: Cut, split: str) -> Iterator[Example]:
    """Some of a file's lines, each cut before one of its tokens, or before the line itself.

    Comments, blank lines, and texts of several lines are not asked for. The same file is always cut alike.
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
    draw = random.Random(hashlib.sha256(code.encode("utf-8", "replace")).digest())
    for statement in statements:
        first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))]) - 1
        last = statement.end_lineno or first
        for row in range(first, last):
            columns = places.get(row)
            if not columns or draw.randrange(TRAINED if split == "train" else TESTED):
                continue
            whole = cut == "line" or len(columns) == 1 or (cut == "any" and draw.random() < 1 / 3)
            if whole and cut == "rest":
                continue
            column = 0 if whole else draw.choice(columns[1:])
            source = "\n".join([*lines[max(0, row - CONTEXT) : row], lines[row][:column]])
            target = lines[row][column:].rstrip()
            if source.strip() and target and "\0" not in source + target:
                tested = split != "train"
                head = "\n".join([*lines[first:row], lines[row][:column]]) if tested else ""
                tail = "\n".join(lines[row + 1 : last]) if tested else ""
                yield {"source": source, "target": target, "head": head, "tail": tail}


def starts(code: str) -> dict[int, list[int]]:
    """Where tokens begin in each line (both counted from 0) that is no part of a text of several lines."""
    found: dict[int, list[int]] = {}
    texts: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type in ASIDE:
            continue
        if token.start[0] != token.end[0]:
            texts |= set(range(token.start[0] - 1, token.end[0]))
        found.setdefault(token.start[0] - 1, []).append(token.start[1])
    return {row: columns for row, columns in found.items() if row not in texts}
