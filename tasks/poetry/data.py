"""Poems: tables with a column of lines, folders of the chinese-poetry collection, or the idioms of pypinyin."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pypinyin.phrases_dict import phrases_dict

from tasks.common.data.division import divide
from tasks.common.data.folders import visible_files
from tasks.common.data.grouping import text_groups
from tasks.common.data.row_reports import report_invalid_rows
from tasks.common.data.splits import has_splits
from tasks.common.data.tables import find_table
from tasks.common.data.text_problems import text_problem
from tasks.common.errors import MissingSplitError, UsageError, unknown_name
from tasks.common.text.normalization import strip_newlines
from tasks.poetry.config import PromptKind
from tasks.poetry.verse import LINE_SEPARATOR, split_lines

if TYPE_CHECKING:
    import datasets

TITLE_COLUMNS, LINES_COLUMNS = ("title", "rhythmic", "chapter"), ("lines", "paragraphs", "content")
IDIOM_LENGTH = 4  # characters; each half is a line

Poem = dict[str, Any]  # title and lines


def load_verse(data: str | None, split: str, prompt_kind: PromptKind, skip_invalid: bool) -> "datasets.Dataset":
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
    import datasets

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
    return datasets.Dataset.from_list(rows)


def read_poems(data: str | None, split: str) -> dict[int, Poem]:
    """Return the poems of a split by their numbers in the data, unchanged and unchecked.

    Data without splits are divided by the poems' first lines.
    """
    poems, is_whole = find_poems(data, split)
    if not is_whole:
        return dict(enumerate(poems))
    firsts = (poem["lines"][:1] if isinstance(poem["lines"], list) else [] for poem in poems)
    groups = text_groups("".join(split_lines(str(first))) for first in firsts)
    return {number: poems[number] for number in divide(groups, split, data or "idioms").tolist()}


def find_poems(data: str | None, split: str) -> tuple[list[Poem], bool]:
    """Return the poems that the data have for a split, and whether these are all poems, of data without splits."""
    if data is None:
        return idioms(), True
    folder = Path(data)
    collection = read_collection(folder) if folder.is_dir() and not has_splits(folder) else []
    if collection:
        return collection, True
    found = find_table(data, split)
    if found is None:
        raise MissingSplitError(
            f"--data {data} has no {split} split: neither a table like {split}.jsonl, nor *.json of poems"
        )
    names = found.rows.column_names
    lines_column = next((name for name in LINES_COLUMNS if name in names), None)
    if lines_column is None:
        hint = f"the lines of a poem are expected in a column named {' or '.join(LINES_COLUMNS)}"
        raise unknown_name("column", "lines", names, hint)
    title_column = next((name for name in TITLE_COLUMNS if name in names), None)
    titles = found.rows[title_column] if title_column else [""] * len(found.rows)
    poems = zip(titles, found.rows[lines_column], strict=True)
    return [{"title": title, "lines": lines} for title, lines in poems], found.is_whole


def read_collection(folder: Path) -> list[Poem]:
    """Read a folder of the chinese-poetry collection: JSON files, each a list of poems."""
    poems: list[Poem] = []
    for file in visible_files(folder, ".json"):
        try:
            content = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
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


def check_poems(poems: Mapping[int, Poem], where: str, needs_title: bool, skip_invalid: bool) -> list[Poem]:
    """Return the valid poems of those with the numbers given, split into lines without punctuation if they are Chinese.

    Raises:
        UsageError: some are invalid, for instance with gaps as in old texts, and may not be skipped.
    """
    problems: dict[int, str] = {}
    valid: list[Poem] = []
    for number, poem in poems.items():
        raw_lines, title = poem["lines"], poem["title"]
        if not isinstance(raw_lines, list):
            problems[number] = "has no list of lines"
            continue
        problem = next((found for found in map(text_problem, raw_lines) if found), None)
        problem = problem or ("has no title" if needs_title and text_problem(title) else None)
        lines = [] if problem else [line for text in raw_lines for line in split_lines(strip_newlines(text))]
        if not problem and any("□" in line for line in lines):
            problem = "has a gap (□)"
        if problem or not lines:
            problems[number] = problem or "has no line"
        else:
            valid.append({"title": strip_newlines(title) if isinstance(title, str) else "", "lines": lines})
    report_invalid_rows(problems, len(poems), where, skip_invalid)
    return valid
