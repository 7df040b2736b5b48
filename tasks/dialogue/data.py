"""Conversations: chatterbot-corpus, tables with a column of turns, and the own files of DailyDialog and Cornell."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import chatterbot_corpus
import yaml

from tasks.common.data.division import divide, split_by_hash
from tasks.common.data.grouping import text_groups
from tasks.common.data.row_reports import report_invalid_rows
from tasks.common.data.splits import SPLITS
from tasks.common.data.tables import find_table
from tasks.common.data.text_lines import read_lines
from tasks.common.data.text_problems import text_problem
from tasks.common.errors import MissingSplitError, UsageError, unknown_name
from tasks.common.text.normalization import strip_newlines

if TYPE_CHECKING:
    import datasets

TURN_SEPARATOR = "¶"  # between the turns of a source; a symbol, so that it is a token in vocabularies of every kind
END_OF_UTTERANCE = "__eou__"  # after each turn in DailyDialog's files
FIELD_SEPARATOR = " +++$+++ "  # between the columns of Cornell's files

Conversation = list[str]


def load_exchanges(
    data: str | None,
    split: str,
    *,
    language: str = "english",
    turns_column: str = "dialog",
    context_turns: int = 3,
    backward: bool = False,
    skip_invalid: bool = False,
) -> "datasets.Dataset":
    """Load the exchanges of a split: contexts and replies.

    Args:
        data: A folder or a hub id; None for chatterbot-corpus.
        split: train, validation or test.
        language: The language of chatterbot-corpus.
        turns_column: The column of a table that holds the lists of turns.
        context_turns: The number of turns in a context.
        backward: Exchange source and target.
        skip_invalid: Skip invalid conversations.

    Returns:
        The columns source, target and references. For training a row is an exchange; otherwise a row is a source with
        all its targets as references.

    Raises:
        UsageError: the data is missing or invalid.
    """
    import datasets

    where = f"{data or language}, {split}"
    valid = check_conversations(read_conversations(data, split, language, turns_column), where, skip_invalid)
    targets: dict[str, list[str]] = defaultdict(list)
    for conversation in valid:
        for index in range(1, len(conversation)):
            context = f" {TURN_SEPARATOR} ".join(conversation[max(0, index - context_turns) : index])
            reply = conversation[index]
            source, target = (reply, context) if backward else (context, reply)
            if target not in targets[source]:
                targets[source].append(target)
    if not targets:
        raise UsageError(f"{where}: no conversation has two turns")
    rows = [
        {"source": source, "target": target, "references": references}
        for source, references in targets.items()
        for target in (references if split == "train" else references[:1])
    ]
    return datasets.Dataset.from_list(rows)


def check_conversations(
    conversations: Mapping[int, Sequence[object]], where: str, skip_invalid: bool
) -> list[Conversation]:
    """Return the conversations whose turns are all valid, without line breaks and turn separators in turns.

    Raises:
        UsageError: some are invalid and may not be skipped.
    """
    problems: dict[int, str] = {}
    valid: list[Conversation] = []
    for row, turns in conversations.items():
        cleaned = [
            strip_newlines(turn).replace(TURN_SEPARATOR, " ") if isinstance(turn, str) else turn for turn in turns
        ]
        invalid = [(number, problem) for number, problem in enumerate(map(text_problem, cleaned), 1) if problem]
        if invalid:
            problems[row] = f"(turn {invalid[0][0]}) {invalid[0][1]}"
        else:
            valid.append([str(turn) for turn in cleaned])
    report_invalid_rows(problems, len(conversations), where, skip_invalid)
    return valid


def read_conversations(
    data: str | None, split: str, language: str, turns_column: str
) -> Mapping[int, Sequence[object]]:
    """Return the conversations of a split by their numbers in the data, unchanged and unchecked."""
    if data is None:
        turns_of = enumerate(read_chatterbot(language))
        return {number: turns for number, turns in turns_of if split_by_hash(turns[0]) == split}
    folder = Path(data)
    if (folder / "movie_lines.txt").is_file():
        movies, conversations = read_cornell(folder)
        return {number: conversations[number] for number in divide(movies, split, data).tolist()}
    for name in SPLITS[split]:
        for file in (folder / f"{name}.txt", folder / f"dialogues_{name}.txt", folder / name / f"dialogues_{name}.txt"):
            if file.is_file():
                lines = enumerate(read_lines(file.read_bytes()))
                return {
                    number: [turn for turn in line.split(END_OF_UTTERANCE) if turn.strip()]
                    for number, line in lines
                    if line
                }
    found = find_table(data, split)
    if found is None:
        raise MissingSplitError(
            f"--data {data} has no {split} split: neither {split}.txt, nor a table like {split}.jsonl, nor "
            "movie_lines.txt"
        )
    if turns_column not in found.rows.column_names:
        raise unknown_name(
            "column", turns_column, found.rows.column_names, "--turns-column names the one with lists of turns"
        )
    conversations = list(found.rows[turns_column])
    if not all(isinstance(turns, list) for turns in conversations):
        raise UsageError(f"--turns-column {turns_column}: this column of {data} does not contain lists of turns")
    if not found.is_whole:
        return dict(enumerate(conversations))
    first_turns = text_groups(next(iter(turns), "") for turns in conversations)
    return {number: conversations[number] for number in divide(first_turns, split, data).tolist()}


def read_chatterbot(language: str) -> list[Conversation]:
    """Return the distinct conversations of a language in the package chatterbot-corpus."""
    folder = Path(chatterbot_corpus.__file__).parent / "data"
    languages = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if language not in languages:
        raise unknown_name("language", language, languages)
    conversations: dict[tuple[str, ...], None] = {}
    for file in sorted((folder / language).rglob("*.yml")):
        for turns in yaml.safe_load(file.read_text(encoding="utf-8")).get("conversations") or []:
            if isinstance(turns, list) and len(turns) > 1 and all(isinstance(turn, str) and turn for turn in turns):
                conversations[tuple(turns)] = None
    return [list(turns) for turns in conversations]


def read_cornell(folder: Path) -> tuple[list[str], list[Conversation]]:
    """Read Cornell Movie-Dialogs (Danescu-Niculescu-Mizil & Lee 2011): movies of conversations, and their turns."""
    lines: dict[str, str] = {}
    for row in cornell_lines(folder / "movie_lines.txt"):
        fields = row.split(FIELD_SEPARATOR)
        if len(fields) == 5 and fields[4].strip():
            lines[fields[0]] = fields[4]
    movies: list[str] = []
    conversations: list[Conversation] = []
    for row in cornell_lines(folder / "movie_conversations.txt"):
        *_, movie, line_ids = ["", *row.split(FIELD_SEPARATOR)]
        if line_ids:
            ids = line_ids.strip("[] ").replace("'", "").split(", ")
            movies.append(movie)
            conversations.append([lines[line_id] for line_id in ids if line_id in lines])
    return movies, conversations


def cornell_lines(file: Path) -> list[str]:
    """Read the lines of a file in Windows' Latin 1, where the byte 0x85 is an ellipsis and no line break, or in UTF-8.

    Raises:
        UsageError: it can't be read.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} can't be read ({error.strerror}); both files of Cornell are needed") from error
    try:
        return content.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="ignore").split("\n")
