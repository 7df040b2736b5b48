"""Conversations: those of a PyPI package, tables with a column of turns, DailyDialog's and Cornell's own files."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import chatterbot_corpus
import yaml
from datasets import Dataset

from tasks.common.data.parallel_text import read_lines, text_problem
from tasks.common.data.tables import SPLITS, read_table, report_invalid_rows, split_by_hash
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.tokenizer import strip_newlines

TURN = "¶"  # between the turns of a source; a sign, so that every kind of vocabulary makes a token of it
END = "__eou__"  # behind each turn in DailyDialog's files
FIELD = " +++$+++ "  # between the columns of Cornell's

Conversation = list[str]


def load_exchanges(
    data: str | None, split: str, language: str, column: str, turns: int, backward: bool, skip_invalid: bool
) -> Dataset:
    """Columns source (the last ``turns`` turns), target (what was replied) and references of a split.

    For training an exchange is a row; else a source is one, with all that was ever replied to it. ``backward``: the
    other way round. Raises UsageError for data that is missing or bad.
    """
    where = f"{data or language}, {split}"
    good = checked(conversations(data, split, language, column), where, skip_invalid)
    replies: dict[str, list[str]] = defaultdict(list)
    for conversation in good:
        for place in range(1, len(conversation)):
            context = f" {TURN} ".join(conversation[max(0, place - turns) : place])
            source, target = (conversation[place], context) if backward else (context, conversation[place])
            if target not in replies[source]:
                replies[source].append(target)
    if not replies:
        raise UsageError(f"{where}: no conversation has two turns")
    rows = [
        {"source": source, "target": target, "references": references}
        for source, references in replies.items()
        for target in (references if split == "train" else references[:1])
    ]
    return Dataset.from_list(rows)


def checked(found: Iterable[Sequence[object]], where: str, skip_invalid: bool) -> list[Conversation]:
    """The conversations whose turns are all good."""
    problems: dict[int, str] = {}
    good: list[Conversation] = []
    total = 0
    for total, turns in enumerate(found, 1):
        tidy = [strip_newlines(turn).replace(TURN, " ") if isinstance(turn, str) else turn for turn in turns]
        wrong = [(place, message) for place, message in enumerate(map(text_problem, tidy), 1) if message]
        if wrong:
            problems[total - 1] = f"(turn {wrong[0][0]}) {wrong[0][1]}"
        else:
            good.append([str(turn) for turn in tidy])
    report_invalid_rows(problems, total, where, skip_invalid)
    return good


def conversations(data: str | None, split: str, language: str, column: str) -> Iterable[Sequence[object]]:
    """The conversations of a split, as they stand there."""
    if data is None:
        return [turns for turns in chatterbot(language) if split_by_hash(turns[0]) == split]
    folder = Path(data)
    if (folder / "movie_lines.txt").is_file():
        return cornell(folder, split)
    for name in SPLITS[split]:
        for file in (folder / f"{name}.txt", folder / f"dialogues_{name}.txt", folder / name / f"dialogues_{name}.txt"):
            if file.is_file():
                lines = read_lines(file.read_bytes())
                return [[turn for turn in line.split(END) if turn.strip()] for line in lines if line]
    table = read_table(data, split)
    if table is None:
        raise UsageError(
            f"--data {data} has no {split} split: neither {split}.txt, nor a table like {split}.jsonl, nor "
            "movie_lines.txt"
        )
    if column not in table.column_names:
        raise unknown_name(
            "column", column, table.column_names, "--turns-column names the one that holds a list of turns"
        )
    if not all(isinstance(turns, list) for turns in table[column]):
        raise UsageError(f"--turns-column {column}: {data} holds no lists of turns there")
    return table[column]


def chatterbot(language: str) -> list[Conversation]:
    """What the package chatterbot-corpus has of a language."""
    folder = Path(chatterbot_corpus.__file__).parent / "data"
    languages = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if language not in languages:
        raise unknown_name("language", language, languages)
    found: dict[tuple[str, ...], None] = {}
    for file in sorted((folder / language).rglob("*.yml")):
        for turns in yaml.safe_load(file.read_text(encoding="utf-8")).get("conversations") or []:
            if isinstance(turns, list) and len(turns) > 1 and all(isinstance(turn, str) and turn for turn in turns):
                found[tuple(turns)] = None
    return [list(turns) for turns in found]


def cornell(folder: Path, split: str) -> list[Conversation]:
    """Cornell's movie dialogues (Danescu-Niculescu-Mizil & Lee 2011); a film belongs to one split."""
    said: dict[str, str] = {}
    for line in (folder / "movie_lines.txt").read_text(encoding="latin-1").splitlines():
        fields = line.split(FIELD)
        if len(fields) == 5 and fields[4].strip():
            said[fields[0]] = fields[4]
    found = []
    for line in (folder / "movie_conversations.txt").read_text(encoding="latin-1").splitlines():
        *_, render_clip, numbers = line.split(FIELD)
        if split_by_hash(render_clip) == split:
            turns = [said[number] for number in numbers.strip("[] ").replace("'", "").split(", ") if number in said]
            found.append(turns)
    return found
