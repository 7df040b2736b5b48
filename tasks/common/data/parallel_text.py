"""Pairs of texts: parallel files, tables, or the hub."""

from collections.abc import Callable
from pathlib import Path

from datasets import Dataset

from tasks.common.data.tables import SPLITS, read_table, report_invalid_rows
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.tokenizer import strip_newlines


def load_pairs(
    data: str, split: str, source: str, target: str, skip_invalid: bool, tidy: Callable[[str], str] = strip_newlines
) -> Dataset:
    """Columns source, target and references of a split; ``source`` and ``target`` name files' endings or columns.

    ``tidy`` is what becomes of each text. Raises UsageError for a split or column that is not there, and for bad rows,
    all at once.
    """
    pairs = find_pairs(data, split, source, target)
    if pairs is None:
        names = " or ".join(f"{name}.{source} and {name}.{target}" for name in SPLITS[split])
        raise UsageError(f"--data {data} has no {split} split: neither {names}, nor a table like {split}.jsonl")
    return checked(*pairs, f"{data}, {split}", source, target, skip_invalid, tidy)


def find_pairs(data: str, split: str, source: str, target: str) -> tuple[list, list] | None:
    """Both sides of a split, as they stand there. None: there is no such split."""
    pairs = read_parallel(Path(data), split, source, target)
    if pairs is not None:
        return pairs
    table = read_table(data, split)
    if table is None:
        return None
    try:
        return column(table, source, data), column(table, target, data)
    except UnicodeDecodeError as error:  # Arrow does not look at what it maps
        raise UsageError(f"--data {data}: {split} is not valid UTF-8 ({error}); save it so") from error


def read_parallel(folder: Path, split: str, source: str, target: str) -> tuple[list[str], list[str]] | None:
    """Two files, a sentence a line: ``train.en`` beside ``train.de``. None: there are no such files."""
    for name in SPLITS[split]:
        files = folder / f"{name}.{source}", folder / f"{name}.{target}"
        there = [file.is_file() for file in files]
        if any(there) and not all(there):
            missing, other = files if there[1] else files[::-1]
            raise UsageError(f"{missing} is missing beside {other}; --source and --target name the two endings")
        if all(there):
            left, right = (read_lines(file.read_bytes()) for file in files)
            if not left or not right:
                raise UsageError(f"{files[0] if not left else files[1]} is empty; a sentence a line is expected")
            if len(left) != len(right):
                raise UsageError(
                    f"{files[0]} has {len(left)} lines and {files[1]} has {len(right)}: they must be parallel"
                )
            return left, right
    return None


def read_lines(content: bytes) -> list[str]:
    """The lines of UTF-8 text, ended by line feeds alone. ``problem`` finds what is not UTF-8."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return [line.decode("utf-8", errors="replace") for line in lines]


def column(table: Dataset, name: str, data: str) -> list:
    """A column by its name, also inside the ``translation`` column that the hub's parallel corpora have."""
    if name in table.column_names:
        return list(table[name])
    inner = table.features["translation"] if "translation" in table.column_names else {}
    languages = getattr(inner, "languages", None) or (list(inner) if isinstance(inner, dict) else [])
    if name in languages:
        return [pair[name] for pair in table["translation"]]
    raise unknown_name("column", name, [*table.column_names, *languages], f"--source and --target name those of {data}")


def problem(text: object) -> str | None:
    """Why a sentence cannot be used, or None."""
    if text is None or text == "":
        return "is empty"
    if not isinstance(text, str):
        return f"is no text but {type(text).__name__}"
    if "\0" in text:
        return "holds a NUL character"
    if "\ufffd" in text:
        return "is not valid UTF-8"
    return None


def checked(
    sources: list,
    targets: list,
    where: str,
    source: str,
    target: str,
    skip_invalid: bool,
    tidy: Callable[[str], str] = strip_newlines,
) -> Dataset:
    """The rows that are good. A target may be a list of right sentences, the first of which is trained on."""
    problems: dict[int, str] = {}
    rows = []
    for index, (left, right) in enumerate(zip(sources, targets, strict=True)):
        left, *references = (
            tidy(text) if isinstance(text, str) else text
            for text in [left, *(right if isinstance(right, list) else [right])]
        )
        wrong = [f"({source}) {found}" for found in [problem(left)] if found]
        wrong += [f"({target}) {found}" for found in map(problem, references or [None]) if found]
        if wrong:
            problems[index] = " and ".join(wrong)
        else:
            rows.append({"source": left, "target": references[0], "references": references})
    report_invalid_rows(problems, len(sources), where, skip_invalid)
    if not rows:
        raise UsageError(f"{where}: no row is left to use")
    return Dataset.from_list(rows)
