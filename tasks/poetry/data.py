"""Poems: tables with a column of lines, folders of the chinese-poetry collection, or the idioms of pypinyin."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from pypinyin.phrases_dict import phrases_dict

from tasks.common.data.folders import visible_files
from tasks.common.data.parallel_text import text_problem
from tasks.common.data.row_reports import report_invalid_rows
from tasks.common.data.splits import SPLITS, split_by_hash
from tasks.common.data.tables import read_table
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.tokenizer import strip_newlines
from tasks.poetry.verse import LINE_SEPARATOR, split_lines

PromptKind = Literal["lines", "first", "title"]
TITLE_COLUMNS, LINES_COLUMNS = ("title", "rhythmic", "chapter"), ("lines", "paragraphs", "content")
IDIOM_LENGTH = 4  # characters; each half is a line

Poem = dict[str, Any]  # title and lines


def load_verse(data: str | None, split: str, prompt_kind: PromptKind, skip_invalid: bool) -> Dataset:
    """Load the examples of a split.

    Args:
        data: A folder or a hub id; None for idioms.
        split: train, validation or test.
        prompt_kind: lines makes an example of each line but the first, with all lines before it as the source; first
            and title make one example of a poem.
        skip_invalid: Skip invalid poems.

    Returns:
        The columns source, target and references; lines are separated by a slash.

    Raises:
        UsageError: the data is missing or invalid.
    """
    where = f"{data or 'idioms'}, {split}"
    rows = []
    for poem in check_poems(read_poems(data, split), where, prompt_kind == "title", skip_invalid):
        lines = poem["lines"]
        starts = range(1, len(lines)) if prompt_kind == "lines" else [1] if prompt_kind == "first" else [0]
        for start in starts:
            source = poem["title"] if prompt_kind == "title" else LINE_SEPARATOR.join(lines[:start])
            target = lines[start] if prompt_kind == "lines" else LINE_SEPARATOR.join(lines[start:])
            if source and target:
                rows.append({"source": source, "target": target, "references": [target]})
    if not rows:
        raise UsageError(f"{where}: no poem has two lines")
    return Dataset.from_list(rows)


def read_poems(data: str | None, split: str) -> Iterable[Poem]:
    """Return the poems of a split, unchanged and unchecked."""
    if data is None:
        return [poem for poem in idioms() if split_by_hash(poem["lines"][0]) == split]
    folder = Path(data)
    has_splits = any((folder / f"{name}.json").is_file() for names in SPLITS.values() for name in names)
    collection = read_collection(folder) if folder.is_dir() and not has_splits else []
    if collection:
        return [poem for poem in collection if split_by_hash("".join(split_lines(str(poem["lines"][:1])))) == split]
    table = read_table(data, split)
    if table is None:
        raise UsageError(f"--data {data} has no {split} split: neither a table like {split}.jsonl, nor *.json of poems")
    lines_column = next((name for name in LINES_COLUMNS if name in table.column_names), None)
    if lines_column is None:
        hint = f"the lines of a poem are expected in a column named {' or '.join(LINES_COLUMNS)}"
        raise unknown_name("column", "lines", table.column_names, hint)
    title_column = next((name for name in TITLE_COLUMNS if name in table.column_names), None)
    titles = table[title_column] if title_column else [""] * len(table)
    return [{"title": title, "lines": lines} for title, lines in zip(titles, table[lines_column], strict=True)]


def read_collection(folder: Path) -> list[Poem]:
    """Read a folder of the chinese-poetry collection: JSON files, each a list of poems."""
    poems: list[Poem] = []
    for file in visible_files(folder, ".json"):
        try:
            content = json.loads(file.read_bytes())
        except ValueError as error:
            raise UsageError(f"{file} is not valid JSON ({error}); fix it, or remove it from the folder") from error
        for entry in content if isinstance(content, list) else []:
            lines = next((entry[name] for name in LINES_COLUMNS if isinstance(entry, dict) and name in entry), None)
            if lines is not None:
                title = next((entry[name] for name in TITLE_COLUMNS if name in entry), "")
                poems.append({"title": title, "lines": lines})
    return poems


def idioms() -> list[Poem]:
    """Return the idioms (chengyu) of four characters, as couplets of two."""
    half = IDIOM_LENGTH // 2
    phrases = sorted(phrase for phrase in phrases_dict if len(phrase) == IDIOM_LENGTH)
    return [{"title": "", "lines": [phrase[:half], phrase[half:]]} for phrase in phrases]


def check_poems(poems: Iterable[Poem], where: str, needs_title: bool, skip_invalid: bool) -> list[Poem]:
    """Return the valid poems, split into lines without punctuation if they are Chinese.

    Raises:
        UsageError: some are invalid, for instance with gaps as in old texts, and may not be skipped.
    """
    problems: dict[int, str] = {}
    valid: list[Poem] = []
    total = 0
    for total, poem in enumerate(poems, 1):
        raw_lines, title = poem["lines"], poem["title"]
        if not isinstance(raw_lines, list):
            problems[total - 1] = "has no list of lines"
            continue
        problem = next((found for found in map(text_problem, raw_lines) if found), None)
        problem = problem or ("has no title" if needs_title and text_problem(title) else None)
        lines = [] if problem else [line for text in raw_lines for line in split_lines(strip_newlines(text))]
        if not problem and any("□" in line for line in lines):
            problem = "has a gap (□)"
        if problem or not lines:
            problems[total - 1] = problem or "has no line"
        else:
            valid.append({"title": strip_newlines(title) if isinstance(title, str) else "", "lines": lines})
    report_invalid_rows(problems, total, where, skip_invalid)
    return valid
