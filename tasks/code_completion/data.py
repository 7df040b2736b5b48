"""Python to complete: the standard library, a folder of files, CodeXGLUE's files, or tables of pairs."""

import random
import sys
import sysconfig
import tokenize
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.code_completion import examples as examples_module
from tasks.code_completion.config import Completion
from tasks.code_completion.examples import Example, detokenize_code, make_examples, make_masked_examples
from tasks.common.console import warn_once
from tasks.common.data import cache
from tasks.common.data.division import HELD_OUT, divide, split_by_hash
from tasks.common.data.folders import visible_files
from tasks.common.data.grouping import content_groups, pair_groups
from tasks.common.data.parallel_text import find_pairs, load_pairs
from tasks.common.data.splits import SPLITS
from tasks.common.data.text_lines import read_lines
from tasks.common.errors import UsageError

if TYPE_CHECKING:
    import datasets

MAX_EVAL_EXAMPLES = 1000  # of validation and of test
SKIPPED_FOLDERS = {"test", "tests", "idlelib", "lib2to3", "pydoc_data", "site-packages", "dist-packages"}


def load_code(
    data: str | None,
    split: str,
    *,
    source: str = "input",
    target: str = "gt",
    completion: Completion = "any",
    skip_invalid: bool = False,
) -> "datasets.Dataset":
    """Load the examples of a split.

    A module of the standard library, or a file of a folder, belongs to one split as a whole. Files that are not valid
    Python of this version are skipped, which is said.

    Args:
        data: A folder or a hub id; None for the standard library.
        split: train, validation or test.
        source: The column of the code before, in a table of pairs.
        target: The column of the completions, in a table of pairs.
        completion: The part of a line to complete, see ``examples.make_examples``; any for tables of pairs.
        skip_invalid: Skip invalid rows of a table.

    Returns:
        The columns source, target and references; for examples made from Python files also head and tail, see
        ``examples.make_examples``.

    Raises:
        UsageError: the data is missing or invalid.
    """
    if data is None:
        root = Path(sysconfig.get_paths()["stdlib"])
        files = [file for file in sorted(root.rglob("*.py")) if not SKIPPED_FOLDERS & {*file.relative_to(root).parts}]
        files = [file for file in files if split_by_hash(file.relative_to(root).parts[0]) == split]
        return load_files(files, completion, split, f"{root}, {split}")
    folder = Path(data)
    for name in SPLITS[split]:
        listing, files = folder / f"{name}.txt", python_files(folder / name)
        if listing.is_file():
            return load_masked_files(listing, completion, split)
        if files:
            return load_files(files, completion, split, str(folder / name))
    files = python_files(folder)
    if files:
        files = [files[number] for number in divide(content_groups(files), split, data)]
        return load_files(files, completion, split, f"{folder}, {split}")
    if completion != "any":
        raise UsageError(f"--completion {completion}: {data} has pairs, which are used unchanged; leave the flag out")
    return load_code_pairs(data, split, source, target, skip_invalid)


def load_code_pairs(data: str, split: str, source: str, target: str, skip_invalid: bool) -> "datasets.Dataset":
    """Load pairs; without a validation split, as in CoNaLa, a tenth of the training pairs is held out for it."""
    load = partial(load_pairs, data, source=source, target=target, skip_invalid=skip_invalid, clean=detokenize_code)
    if split == "test" or find_pairs(data, "validation", source, target) is not None:
        return load(split)
    pairs = load("train")
    groups = pair_groups(pairs["source"], pairs["references"])
    return pairs.select(divide(groups, split, data, {"validation": HELD_OUT["validation"]}))


def python_files(folder: Path) -> list[Path]:
    """List the Python files of a folder, except in hidden folders, where tools keep copies of other code."""
    return visible_files(folder, ".py") if folder.is_dir() else []


def load_files(files: Sequence[Path], completion: Completion, split: str, where: str) -> "datasets.Dataset":
    """Make the examples of Python files, cached until one of them changes."""
    import datasets

    if not files:
        raise UsageError(f"{where}: no Python file is left for this split; more of them are needed")
    table = datasets.Dataset.from_dict({"file": [str(file) for file in files]})
    made = map_cached(table, examples_of_files, files, completion, split)
    return limit_examples(leave_out_skipped(made, len(files), where), split, where)


def leave_out_skipped(table: "datasets.Dataset", num_files: int, where: str) -> "datasets.Dataset":
    """Leave out the rows that stand for skipped files, see :func:`examples_of_files`, and tell how many there are."""
    names = table["skipped"][:] if "skipped" in table.column_names else []
    skipped = [name for name in names if name]
    if not skipped:
        return table.remove_columns("skipped") if names else table
    first = f", the first is {skipped[0]}" if len(skipped) > 1 else f": {skipped[0]}"
    warn_once(
        f"{where}: {len(skipped)} of {num_files} files are not valid in Python {sys.version_info.major}."
        f"{sys.version_info.minor} and are skipped{first}"
    )
    return table.select([row for row, name in enumerate(names) if not name]).remove_columns("skipped")


def load_masked_files(listing: Path, completion: Completion, split: str) -> "datasets.Dataset":
    """Make examples of CodeXGLUE's form, in which a line is a file, cached until it changes."""
    import datasets

    table = datasets.Dataset.from_dict({"line": read_lines(listing.read_bytes())})
    return limit_examples(map_cached(table, examples_of_lines, [listing], completion, split), split, str(listing))


def map_cached(
    table: "datasets.Dataset", function: Callable, files: Sequence[Path], completion: Completion, split: str
) -> "datasets.Dataset":
    """Apply a function to the rows of a table, cached until a file, the settings or the code of examples.py change."""
    salt = Path(examples_module.__file__).read_bytes() + f"{completion} {split}".encode()
    return cache.map_files(table, partial(function, completion=completion, split=split), files, "code", salt)


def examples_of_files(batch: Mapping[str, list[str]], completion: Completion, split: str) -> dict[str, list]:
    """Make the examples of a batch of Python files; see :func:`make_examples`.

    Returns:
        The columns source, target, head, tail, references and skipped: the name of a file that is not valid Python, in
        a row of its own, whose other columns are empty.
    """
    names = ("source", "target", "head", "tail", "skipped")
    rows: list[Example] = []
    for file in batch["file"]:
        try:
            with tokenize.open(file) as opened:  # in the encoding that the file declares
                rows += [example | {"skipped": ""} for example in make_examples(opened.read(), completion, split)]
        except (SyntaxError, UnicodeDecodeError, OSError):
            rows.append(dict.fromkeys(names, "") | {"skipped": file})
    return to_columns(rows, names)


def examples_of_lines(batch: Mapping[str, list[str]], completion: Completion, split: str) -> dict[str, list]:
    """Make the examples of a batch of lines, each of which is a file; see :func:`make_masked_examples`."""
    rows = [example for line in batch["line"] for example in make_masked_examples(line, completion, split)]
    return to_columns(rows, ("source", "target"))


def to_columns(rows: Sequence[Example], names: Sequence[str]) -> dict[str, list]:
    """Turn examples into columns, and add the column references: a list with the target alone."""
    return {name: [row[name] for row in rows] for name in names} | {"references": [[row["target"]] for row in rows]}


def limit_examples(table: "datasets.Dataset", split: str, where: str) -> "datasets.Dataset":
    """Return all examples for training, and a random sample of at most MAX_EVAL_EXAMPLES for the other splits."""
    if not table.column_names or not len(table):
        raise UsageError(f"{where}: no line of Python can be completed")
    if split == "train" or len(table) <= MAX_EVAL_EXAMPLES:
        return table
    return table.select(sorted(random.Random(1).sample(range(len(table)), MAX_EVAL_EXAMPLES)))
