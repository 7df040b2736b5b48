"""Python to complete: the standard library's own source, a folder of files, CodeXGLUE's files, or tables of pairs."""

import ast
import hashlib
import io
import random
import re
import sysconfig
import tokenize
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
OTHERS = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "dist-packages",
}  # of the standard library's folders
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
        listed, inside = folder / f"{name}.txt", python_files(folder / name)
        if listed.is_file():
            return cut_lines(listed, cut, split)
        if inside:
            return cut_files(inside, cut, split, str(folder / name))
    files = python_files(folder)
    if files:  # by content, so that no copy of a file is in two splits
        own = [file for file in files if split_of(file.read_bytes().hex()) == split]
        return cut_files(own, cut, split, f"{folder}, {split}")
    return load_held_out(data, split, source, target, skip_bad)


def load_held_out(data: str, split: str, source: str, target: str, skip_bad: bool) -> Dataset:
    """Pairs; where there is no validation split, as in CoNaLa, it is a tenth of the training pairs."""
    load = partial(load_pairs, data, source=source, target=target, skip_bad=skip_bad, tidy=detokenised)
    if split == "test":
        return load(split)
    try:
        validation = load("validation")
    except UsageError as error:
        if "has no validation split" not in str(error):
            raise
    else:
        return validation if split == "validation" else load(split)
    pairs = load("train")
    rows = [row for row, text in enumerate(pairs["source"]) if (split_of(text) == "validation") == (split != "train")]
    return pairs.select(rows)


def python_files(folder: Path) -> list[Path]:
    """All but those in hidden folders, where tools keep copies of others' code."""
    inside = sorted(folder.rglob("*.py"))
    return [file for file in inside if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def detokenised(text: str) -> str:
    """Code as CodeXGLUE writes it into a line, in lines again. Its literals stay masked, and indentation is lost."""
    if "<EOL>" not in text and not text.startswith("<s>"):
        return text
    return text.removeprefix("<s>").removesuffix("</s>").strip().replace(" <EOL> ", "\n").replace("<EOL>", "\n")


def cut_files(files: Sequence[Path], cut: Cut, split: str, where: str) -> Dataset:
    """Examples from files, kept until one of them changes."""
    if not files:
        raise UsageError(f"{where}: no Python file is left for this split; more of them are needed")
    texts = Dataset.from_dict({"file": [str(file) for file in files]})
    return chosen(kept(texts, cut_some, files, cut, split), split, where)


def cut_lines(listed: Path, cut: Cut, split: str) -> Dataset:
    """Examples from CodeXGLUE's form, a file a line, kept until it changes."""
    texts = Dataset.from_dict({"line": text_lines(listed.read_bytes())})
    return chosen(kept(texts, cut_masked, [listed], cut, split), split, str(listed))


def kept(texts: Dataset, cutter: Callable, files: Sequence[Path], cut: Cut, split: str) -> Dataset:
    key = hashlib.sha256(Path(__file__).read_bytes() + f"{cut} {split}".encode())
    for file in files:
        key.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return texts.map(
        partial(cutter, cut=cut, split=split),
        batched=True,
        batch_size=20,
        remove_columns=texts.column_names,
        num_proc=cache.processes(len(texts)),
        cache_file_name=str(cache.folder() / f"code-{key.hexdigest()[:24]}.arrow"),
    )


def cut_some(files: Mapping[str, list[str]], cut: Cut, split: str) -> dict[str, list]:
    rows = [example for code in map(read, files["file"]) for example in examples(code, cut, split)]
    return columns_of(rows, ("source", "target", "head", "tail"))


def cut_masked(lines: Mapping[str, list[str]], cut: Cut, split: str) -> dict[str, list]:
    rows = [example for line in lines["line"] for example in masked_examples(line, cut, split)]
    return columns_of(rows, ("source", "target"))


def columns_of(rows: Sequence[Example], names: Sequence[str]) -> dict[str, list]:
    return {name: [row[name] for row in rows] for name in names} | {"references": [[row["target"]] for row in rows]}


def read(file: str) -> str:
    """A source file in the encoding that it declares; nothing, if that is not true."""
    try:
        with tokenize.open(file) as opened:
            return opened.read()
    except (SyntaxError, UnicodeDecodeError, OSError):
        return ""


def chosen(table: Dataset, split: str, where: str) -> Dataset:
    """All examples for training, some for the other splits."""
    if not table.column_names or not len(table):
        raise UsageError(f"{where}: no line of Python could be cut")
    if split == "train" or len(table) <= HELD_OUT:
        return table
    return table.select(sorted(random.Random(1).sample(range(len(table)), HELD_OUT)))


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


def masked_examples(line: str, cut: Cut, split: str) -> Iterator[Example]:
    """The same of a file in CodeXGLUE's form, whose tokens stand between spaces."""
    draw = drawn_by(line)
    lines = [each.strip() for each in detokenised(line).split("\n")]
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
