"""Poems: tables with a column of lines, folders of the chinese-poetry collection, or pypinyin's set phrases."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from pypinyin.phrases_dict import phrases_dict

from tasks.common.data.parallel_text import text_problem
from tasks.common.data.tables import SPLITS, read_table, report_invalid_rows, split_by_hash
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.tokenizer import strip_newlines
from tasks.poetry.verse import LINE, lines_of

Given = Literal["lines", "first", "title"]
TITLES, BODIES = ("title", "rhythmic", "chapter"), ("lines", "paragraphs", "content")  # as collections call them
PHRASE = 4  # characters of a set phrase; each half is a line

Poem = dict[str, Any]  # title and lines


def load_verse(data: str | None, split: str, given: Given, skip_invalid: bool) -> Dataset:
    """Columns source, target and references of a split: what is ``given`` of a poem, and what is to be written.

    Lines stand in one line with a slash between. Raises UsageError for data that is missing or bad.
    """
    where = f"{data or 'set phrases'}, {split}"
    rows = []
    for poem in checked(poems(data, split), where, given == "title", skip_invalid):
        lines = poem["lines"]
        places = range(1, len(lines)) if given == "lines" else [1] if given == "first" else [0]
        for place in places:
            source = poem["title"] if given == "title" else LINE.join(lines[:place])
            target = lines[place] if given == "lines" else LINE.join(lines[place:])
            if source and target:
                rows.append({"source": source, "target": target, "references": [target]})
    if not rows:
        raise UsageError(f"{where}: no poem has two lines")
    return Dataset.from_list(rows)


def poems(data: str | None, split: str) -> Iterable[Poem]:
    """The poems of a split, as they stand there."""
    if data is None:
        return [poem for poem in phrases() if split_by_hash(poem["lines"][0]) == split]
    folder = Path(data)
    own = any((folder / f"{name}.json").is_file() for names in SPLITS.values() for name in names)
    collected = collection(folder) if folder.is_dir() and not own else []
    if collected:
        return [poem for poem in collected if split_by_hash("".join(lines_of(str(poem["lines"][:1])))) == split]
    table = read_table(data, split)
    if table is None:
        raise UsageError(f"--data {data} has no {split} split: neither a table like {split}.jsonl, nor *.json of poems")
    body = next((name for name in BODIES if name in table.column_names), None)
    if body is None:
        raise unknown_name(
            "column", "lines", table.column_names, "one that is called " + " or ".join(BODIES) + " is needed"
        )
    title = next((name for name in TITLES if name in table.column_names), None)
    titles = table[title] if title else [""] * len(table)
    return [{"title": name, "lines": lines} for name, lines in zip(titles, table[body], strict=True)]


def collection(folder: Path) -> list[Poem]:
    """The poems of a folder of the chinese-poetry collection: JSON files, each a list of poems."""
    found: list[Poem] = []
    for file in sorted(folder.rglob("*.json")):
        try:
            content = json.loads(file.read_bytes())
        except ValueError as error:
            raise UsageError(f"{file} is no JSON ({error}); mend it, or take it out of the folder") from error
        for entry in content if isinstance(content, list) else []:
            body = next((entry[name] for name in BODIES if isinstance(entry, dict) and name in entry), None)
            if body is not None:
                title = next((entry[name] for name in TITLES if name in entry), "")
                found.append({"title": title, "lines": body})
    return found


def phrases() -> list[Poem]:
    """Set phrases of four characters, as couplets of two."""
    half = PHRASE // 2
    known = sorted(phrase for phrase in phrases_dict if len(phrase) == PHRASE)
    return [{"title": "", "lines": [phrase[:half], phrase[half:]]} for phrase in known]


def checked(found: Iterable[Poem], where: str, titled: bool, skip_invalid: bool) -> list[Poem]:
    """The poems that are good, without punctuation where they are Chinese. Gaps in old texts make a poem bad."""
    problems: dict[int, str] = {}
    good: list[Poem] = []
    total = 0
    for total, poem in enumerate(found, 1):
        body, title = poem["lines"], poem["title"]
        if not isinstance(body, list):
            problems[total - 1] = "has no list of lines"
            continue
        wrong = next((message for message in map(text_problem, body) if message), None)
        wrong = wrong or ("has no title" if titled and text_problem(title) else None)
        lines = [] if wrong else [line for text in body for line in lines_of(strip_newlines(text))]
        if not wrong and any("□" in line for line in lines):
            wrong = "has a gap (□)"
        if wrong or not lines:
            problems[total - 1] = wrong or "has no line"
        else:
            good.append({"title": strip_newlines(title) if isinstance(title, str) else "", "lines": lines})
    report_invalid_rows(problems, total, where, skip_invalid)
    return good
