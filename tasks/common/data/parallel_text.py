"""Pairs of texts: from parallel files, tables, or the hub."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.data import cache
from tasks.common.data.mapped_tables import table_key
from tasks.common.data.pair_check import FoundPairs, InnerColumn, PairCheck
from tasks.common.data.pair_names import known_columns, unsplit_files
from tasks.common.data.splits import SPLITS
from tasks.common.data.tables import find_table
from tasks.common.data.text_lines import TextLines
from tasks.common.errors import MissingSplitError, UsageError, unknown_name
from tasks.common.text.normalization import strip_newlines

if TYPE_CHECKING:
    import datasets


def load_pairs(
    data: str, split: str, source: str, target: str, skip_invalid: bool, clean: Callable[[str], str] = strip_newlines
) -> "datasets.Dataset":
    """Load the pairs of a split.

    Args:
        data: A table, a folder, the beginning of the names of two files, or a hub id.
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
        raise MissingSplitError(
            f"--data {data} has no {split} split: neither {names}, nor a table like {split}.jsonl, nor two files or a "
            f"table without splits{endings_hint(data)}"
        )
    try:
        check = PairCheck(pairs, pairs.rows_of(split), source, target, clean)
        return check.valid_pairs(f"{data}, {split}", skip_invalid)
    except UnicodeDecodeError as error:  # Arrow does not check what it maps
        raise UsageError(f"--data {data}: {split} is not valid UTF-8 ({error}); save it as UTF-8") from error


def endings_hint(data: str) -> str:
    """List the endings of text files in a folder, for an error message."""
    endings = unsplit_files(data)
    return f"; the endings there are {', '.join(endings)}: name two with --source and --target" if endings else ""


def find_pairs(data: str, split: str, source: str, target: str) -> FoundPairs | None:
    """Find the pairs that data have for a split; None if there is no such split."""
    files = unsplit_files(data)
    if source in files and target in files:
        pairs = read_parallel_files(files[source], files[target])
        return dataclasses.replace(pairs, is_whole=True, name=f"{files[source]}, {files[target].name}")
    pairs = read_parallel(Path(data), split, source, target)
    if pairs is not None:
        return dataclasses.replace(pairs, name=data)
    table = find_table(data, split, known_columns(source, target))
    if table is None:
        return None
    columns = get_column(table.rows, source, data), get_column(table.rows, target, data)
    return FoundPairs(*columns, table.is_whole, data, f"{table_key(table.rows)} {source!a} {target!a}")


def read_parallel(folder: Path, split: str, source: str, target: str) -> FoundPairs | None:
    """Read two files with one sentence per line, like ``train.de`` and ``train.en``; None if there are none."""
    for name in SPLITS[split]:
        files = folder / f"{name}.{source}", folder / f"{name}.{target}"
        exist = [file.is_file() for file in files]
        if any(exist) and not all(exist):
            missing, other = files if exist[1] else files[::-1]
            raise UsageError(f"{missing} is missing, while {other} exists; --source and --target name the two endings")
        if all(exist):
            return read_parallel_files(*files)
    return None


def read_parallel_files(source: Path, target: Path) -> FoundPairs:
    """Read two files with one sentence per line. Raises UsageError if one is empty or longer than the other."""
    left, right = TextLines(source), TextLines(target)
    if not left or not right:
        raise UsageError(f"{source if not left else target} is empty; one sentence per line is expected")
    if len(left) != len(right):
        raise UsageError(f"{source} has {len(left)} lines and {target} has {len(right)}: they must be parallel")
    return FoundPairs(left, right, False, str(source), f"{cache.file_key(source)} {cache.file_key(target)}")


def get_column(table: "datasets.Dataset", name: str, data: str) -> "datasets.Column | InnerColumn":
    """Return a column by its name, also from inside the ``translation`` column of the hub's parallel corpora."""
    columns: Any = table  # whose types do not tell a column from its values
    if name in table.column_names:
        return columns[name]
    inner = table.features["translation"] if "translation" in table.column_names else {}
    languages = getattr(inner, "languages", None) or (list(inner) if isinstance(inner, dict) else [])
    if name in languages:
        return InnerColumn(columns["translation"], name)
    raise unknown_name("column", name, [*table.column_names, *languages], f"--source and --target name those of {data}")
