"""Datasets of recordings with transcripts, in their published forms; where the recordings are is found here."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.data.division import divide_table
from tasks.common.data.folders import read_text_lines, visible_files
from tasks.common.data.grouping import file_groups, speaker_groups
from tasks.common.data.media_files import AUDIO_SUFFIXES, FEATURE_SUFFIX, file_source
from tasks.common.data.media_folders import read_listed_table, read_texts
from tasks.common.data.media_names import path_inside
from tasks.common.data.media_tables import folder_of, media_column, usual_name
from tasks.common.data.row_reports import number_rows
from tasks.common.data.splits import SPLITS, has_splits, split_folders, unsplit_folders
from tasks.common.data.tables import find_table
from tasks.common.errors import MissingSplitError, UsageError, unknown_name

if TYPE_CHECKING:
    import datasets

SUFFIXES = (*AUDIO_SUFFIXES, FEATURE_SUFFIX)
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")  # the usual names


def read_transcribed_speech(data: str, split: str, column: str) -> "datasets.Dataset":
    """Find the recordings of a split, in any supported form. No recording is read.

    Args:
        data: A folder or hub id.
        split: train, validation or test.
        column: The name of the column with the transcripts, in tables.

    Returns:
        The columns audio (path or bytes), text and row, the number in the data.

    Raises:
        UsageError: there is no such split.
    """
    folder = Path(data)
    for place in split_folders(folder, split):
        table = read_audiofolder(place, column)
        if table is not None:
            return table
    if folder.is_dir() and has_splits(folder):
        parts = sorted(part for name in SPLITS[split] for part in folder.glob(f"{name}-*") if part.is_dir())
        table = read_librispeech(parts)
        if table is None and parts:
            raise UsageError(f"{parts[0]} has no *.trans.txt; LibriSpeech's layout is expected there")
        if table is not None:
            return table
    for place in unsplit_folders(folder):
        table = read_audiofolder(place, column)
        if table is not None:
            return divide_table(table, file_groups(table["audio"], folder), split, data)
        table = read_librispeech([place])
        if table is not None:
            return divide_table(table, speaker_groups(table["audio"], folder), split, data)
    found = find_table(data, split)
    if found is None:
        raise MissingSplitError(
            f"--data {data} has no {split} split: neither {split}/metadata.jsonl or .csv with a column file_name, "
            f"nor LibriSpeech's {split}-* folders, nor a table like {split}.parquet, nor recordings with "
            "transcripts.txt or a .txt beside each"
        )
    table = read_audio_table(found.rows, column, data)
    return divide_table(table, file_groups(table["audio"], folder_of(data)), split, data) if found.is_whole else table


def read_audiofolder(folder: Path, column: str) -> "datasets.Dataset | None":
    """Read a folder with a table of its recordings, such as the audiofolder convention's metadata.jsonl.

    Without such a table, recordings with plain texts are read, see ``read_texts``; None if there are none.
    """
    listed = read_listed_table(folder, SUFFIXES)
    if listed is not None:
        paths, table = listed
        return transcribed(paths, table[find_text_column(table, column, str(folder))][:])
    found = read_texts(folder, SUFFIXES)
    return None if found is None else transcribed(found[0], [" ".join(lines) for lines in found[1]])


def read_librispeech(folders: list[Path]) -> "datasets.Dataset | None":
    """Read LibriSpeech's layout: SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt and the .flac files it transcribes.

    Returns:
        The columns audio, text and row; None if no folder has a file of transcripts.
    """
    paths: list[Path] = []
    texts: list[str] = []
    files = [file for folder in folders for file in visible_files(folder, ".txt")]
    for listing in (file for file in files if file.name.endswith(".trans.txt")):
        for line in read_text_lines(listing):
            name, _, text = line.partition(" ")
            paths.append(path_inside(listing.parent, f"{name}.flac"))
            texts.append(text)
    return transcribed(paths, texts) if paths else None


def read_audio_table(table: "datasets.Dataset", column: str, data: str) -> "datasets.Dataset":
    """Read a table with a column of the type Audio, or with paths in a column such as file_name."""
    import datasets

    text_column = find_text_column(table, column, data)
    audio = media_column(table, datasets.Audio, "sound", data, SUFFIXES).rename_column("source", "audio")
    text = datasets.Dataset.from_dict({"text": table[text_column][:]})
    return number_rows(datasets.concatenate_datasets([audio, text], axis=1))


def transcribed(paths: Iterable[Path], texts: list[Any]) -> "datasets.Dataset":
    """Make a table of recordings and the transcript of each: the columns audio, text and row."""
    import datasets

    return number_rows(datasets.Dataset.from_dict({"audio": list(map(file_source, paths)), "text": texts}))


def find_text_column(table: "datasets.Dataset", column: str, where: str) -> str:
    """Return ``column`` if it exists, or a usual name in place of the default one.

    Raises:
        UsageError: there is no such column.
    """
    if column in table.column_names:
        return column
    usual = usual_name(table.column_names, TEXT_COLUMNS) if column == TEXT_COLUMNS[0] else None
    if usual is None:
        raise unknown_name("column", column, table.column_names, f"--text-column names that of {where}")
    return usual
