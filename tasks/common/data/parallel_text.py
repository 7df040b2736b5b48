"""Pairs of texts: from parallel files, tables, or the hub."""

from collections.abc import Callable
from pathlib import Path

from datasets import Dataset

from tasks.common.data.tables import SPLITS, read_table, report_invalid_rows
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.tokenizer import strip_newlines


def load_pairs(
    data: str, split: str, source: str, target: str, skip_invalid: bool, clean: Callable[[str], str] = strip_newlines
) -> Dataset:
    """Load the pairs of a split.

    Args:
        data: A folder or a hub id.
        split: train, validation or test.
        source: The ending of the source file, or the column of the sources.
        target: The same for the targets.
        skip_invalid: Skip invalid rows.
        clean: Applied to each text.

    Returns:
        The columns source, target and references.

    Raises:
        UsageError: the split or a column does not exist, or rows are invalid.
    """
    pairs = find_pairs(data, split, source, target)
    if pairs is None:
        names = " or ".join(f"{name}.{source} and {name}.{target}" for name in SPLITS[split])
        raise UsageError(f"--data {data} has no {split} split: neither {names}, nor a table like {split}.jsonl")
    return check_pairs(*pairs, f"{data}, {split}", source, target, skip_invalid, clean)


def find_pairs(data: str, split: str, source: str, target: str) -> tuple[list, list] | None:
    """Return the sources and the targets of a split, unchanged and unchecked; None if there is no such split."""
    pairs = read_parallel(Path(data), split, source, target)
    if pairs is not None:
        return pairs
    table = read_table(data, split)
    if table is None:
        return None
    try:
        return get_column(table, source, data), get_column(table, target, data)
    except UnicodeDecodeError as error:  # Arrow does not check what it maps
        raise UsageError(f"--data {data}: {split} is not valid UTF-8 ({error}); save it as UTF-8") from error


def read_parallel(folder: Path, split: str, source: str, target: str) -> tuple[list[str], list[str]] | None:
    """Read two files with one sentence per line, like ``train.de`` and ``train.en``; None if there are none."""
    for name in SPLITS[split]:
        files = folder / f"{name}.{source}", folder / f"{name}.{target}"
        exist = [file.is_file() for file in files]
        if any(exist) and not all(exist):
            missing, other = files if exist[1] else files[::-1]
            raise UsageError(f"{missing} is missing, while {other} exists; --source and --target name the two endings")
        if all(exist):
            left, right = (read_lines(file.read_bytes()) for file in files)
            if not left or not right:
                raise UsageError(f"{files[0] if not left else files[1]} is empty; one sentence per line is expected")
            if len(left) != len(right):
                raise UsageError(
                    f"{files[0]} has {len(left)} lines and {files[1]} has {len(right)}: they must be parallel"
                )
            return left, right
    return None


def read_lines(content: bytes) -> list[str]:
    """Split UTF-8 text at line feeds alone. ``text_problem`` detects lines that are not UTF-8."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.decode("utf-8", errors="replace") for line in lines]


def get_column(table: Dataset, name: str, data: str) -> list:
    """Return a column by its name, also from inside the ``translation`` column of the hub's parallel corpora."""
    if name in table.column_names:
        return list(table[name])
    inner = table.features["translation"] if "translation" in table.column_names else {}
    languages = getattr(inner, "languages", None) or (list(inner) if isinstance(inner, dict) else [])
    if name in languages:
        return [pair[name] for pair in table["translation"]]
    raise unknown_name("column", name, [*table.column_names, *languages], f"--source and --target name those of {data}")


def text_problem(text: object) -> str | None:
    """Describe why a sentence is invalid; None if it is valid."""
    if text is None or text == "":
        return "is empty"
    if not isinstance(text, str):
        return f"is not a text but {type(text).__name__}"
    if "\0" in text:
        return "contains a NUL character"
    if "\ufffd" in text:
        return "is not valid UTF-8"
    return None


def check_pairs(
    sources: list,
    targets: list,
    where: str,
    source: str,
    target: str,
    skip_invalid: bool,
    clean: Callable[[str], str] = strip_newlines,
) -> Dataset:
    """Clean and check pairs.

    Args:
        sources: The sources.
        targets: Their targets; a target may be a list of references, the first of which is trained on.
        where: The name of the data in messages.
        source: The name of the sources in messages.
        target: The name of the targets in messages.
        skip_invalid: Skip invalid rows.
        clean: Applied to each text.

    Returns:
        The valid rows: columns source, target and references.

    Raises:
        UsageError: rows are invalid and may not be skipped, or none is valid.
    """
    problems: dict[int, str] = {}
    rows = []
    for index, (left, right) in enumerate(zip(sources, targets, strict=True)):
        left, *references = (
            clean(text) if isinstance(text, str) else text
            for text in [left, *(right if isinstance(right, list) else [right])]
        )
        found = [f"({source}) {problem}" for problem in [text_problem(left)] if problem]
        found += [f"({target}) {problem}" for problem in map(text_problem, references or [None]) if problem]
        if found:
            problems[index] = " and ".join(found)
        else:
            rows.append({"source": left, "target": references[0], "references": references})
    report_invalid_rows(problems, len(sources), where, skip_invalid)
    if not rows:
        raise UsageError(f"{where}: no valid row is left")
    return Dataset.from_list(rows)
