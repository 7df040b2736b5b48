"""Python to complete: the standard library's own source, a folder of files, CodeXGLUE's files, or tables of pairs."""

import random
import sysconfig
import tokenize
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from datasets import Dataset

from tasks.code_completion import examples as cutting
from tasks.code_completion.examples import Cut, Example, detokenize_code, examples, masked_examples
from tasks.common.data import cache
from tasks.common.data.parallel_text import find_pairs, load_pairs, read_lines
from tasks.common.data.tables import SPLITS, split_by_hash
from tasks.common.errors import UsageError

HELD_OUT = 1000  # examples of validation and test, at most
OTHERS = {"test", "tests", "idlelib", "lib2to3", "pydoc_data"}  # folders of the standard library that are not read
OTHERS |= {"site-packages", "dist-packages"}


def load_code(data: str | None, split: str, source: str, target: str, cut: Cut, skip_invalid: bool) -> Dataset:
    """Columns source, target and references of a split; where they are cut from files, also head and tail: what stands
    before and behind the target in its top-level statement (empty in training).

    Modules of the standard library, and the files of a folder, belong to one split as a whole. Files that are no
    Python of this version are passed over. Raises UsageError for data that is missing or bad.
    """
    if data is None:
        root = Path(sysconfig.get_paths()["stdlib"])
        files = [file for file in sorted(root.rglob("*.py")) if not OTHERS & {*file.relative_to(root).parts}]
        own = [file for file in files if split_by_hash(file.relative_to(root).parts[0]) == split]
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
        own = [file for file in files if split_by_hash(file.read_bytes().hex()) == split]
        return cut_files(own, cut, split, f"{folder}, {split}")
    return load_held_out(data, split, source, target, skip_invalid)


def load_held_out(data: str, split: str, source: str, target: str, skip_invalid: bool) -> Dataset:
    """Pairs; where there is no validation split, as in CoNaLa, it is a tenth of the training pairs."""
    load = partial(load_pairs, data, source=source, target=target, skip_invalid=skip_invalid, clean=detokenize_code)
    if split == "test" or find_pairs(data, "validation", source, target) is not None:
        return load(split)
    pairs = load("train")
    rows = [
        row for row, text in enumerate(pairs["source"]) if (split_by_hash(text) == "validation") == (split != "train")
    ]
    return pairs.select(rows)


def python_files(folder: Path) -> list[Path]:
    """All but those in hidden folders, where tools keep copies of others' code."""
    inside = sorted(folder.rglob("*.py"))
    return [file for file in inside if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def cut_files(files: Sequence[Path], cut: Cut, split: str, where: str) -> Dataset:
    """Examples from files, kept until one of them changes."""
    if not files:
        raise UsageError(f"{where}: no Python file is left for this split; more of them are needed")
    texts = Dataset.from_dict({"file": [str(file) for file in files]})
    return chosen(kept(texts, cut_some, files, cut, split), split, where)


def cut_lines(listed: Path, cut: Cut, split: str) -> Dataset:
    """Examples from CodeXGLUE's form, a file a line, kept until it changes."""
    texts = Dataset.from_dict({"line": read_lines(listed.read_bytes())})
    return chosen(kept(texts, cut_masked, [listed], cut, split), split, str(listed))


def kept(texts: Dataset, cutter: Callable, files: Sequence[Path], cut: Cut, split: str) -> Dataset:
    salt = Path(cutting.__file__).read_bytes() + f"{cut} {split}".encode()
    return cache.map_files(texts, partial(cutter, cut=cut, split=split), files, "code", salt)


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
