"""Datasets of recordings with transcripts, in their published forms; where the recordings are is found here."""

from pathlib import Path

from datasets import Audio, Dataset

from tasks.common.data.folders import read_text_lines, visible_files
from tasks.common.data.media_folders import FILE_COLUMNS, file_source, locate_files, read_metadata, read_texts
from tasks.common.data.splits import SPLITS, divide, split_folders, unsplit_folders
from tasks.common.data.tables import read_table
from tasks.common.errors import UsageError, unknown_name

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".npy")
TEXT_COLUMNS = ("text", "sentence", "transcription", "transcript")  # the usual names


def read_transcribed_speech(data: str, split: str, column: str) -> Dataset:
    """Find the recordings of a split, in any supported form. No recording is read.

    Args:
        data: A folder or hub id.
        split: train, validation or test.
        column: The name of the column with the transcripts, in tables.

    Returns:
        The columns audio (path or bytes) and text.

    Raises:
        UsageError: there is no such split.
    """
    folder = Path(data)
    for place in split_folders(folder, split):
        table = read_audiofolder(place, column)
        if table is not None:
            return table
    librispeech = sorted(part for name in SPLITS[split] for part in folder.glob(f"{name}-*") if part.is_dir())
    if librispeech:
        return read_librispeech(librispeech)
    for place in unsplit_folders(folder):
        table = read_audiofolder(place, column)
        if table is not None:
            return table.select(divide([Path(audio["path"]).name for audio in table["audio"]], split, data))
    table = read_table(data, split, by=FILE_COLUMNS)
    if table is None:
        raise UsageError(
            f"--data {data} has no {split} split: neither {split}/metadata.jsonl or .csv with a column file_name, "
            f"nor LibriSpeech's {split}-* folders, nor a table like {split}.parquet, nor recordings with "
            "transcripts.txt or a .txt beside each"
        )
    return read_audio_table(table, column, data)


def read_audiofolder(folder: Path, column: str) -> Dataset | None:
    """Read the audiofolder convention: metadata.jsonl or .csv, whose column file_name names the other files.

    Without such a table, recordings with plain texts are read, see ``read_texts``; None if there are none.
    """
    metadata = read_metadata(folder)
    if metadata is None:
        found = read_texts(folder, SUFFIXES)
        if found is None:
            return None
        audio = list(map(file_source, found[0]))
        return Dataset.from_dict({"audio": audio, "text": [" ".join(lines) for lines in found[1]]})
    paths, table = metadata
    text_column = find_text_column(table, column, str(folder))
    audio = list(map(file_source, paths))
    return Dataset.from_dict({"audio": audio, "text": list(table[text_column])})


def read_librispeech(folders: list[Path]) -> Dataset:
    """Read LibriSpeech's layout: SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt and the .flac files it transcribes."""
    rows: dict[str, list] = {"audio": [], "text": []}
    texts = [file for folder in folders for file in visible_files(folder, ".txt")]
    for listing in (file for file in texts if file.name.endswith(".trans.txt")):
        for line in read_text_lines(listing):
            name, _, text = line.partition(" ")
            rows["audio"].append(file_source(listing.parent / f"{name}.flac"))
            rows["text"].append(text)
    if not rows["text"]:
        raise UsageError(f"{folders[0]} has no *.trans.txt; LibriSpeech's layout is expected there")
    return Dataset.from_dict(rows)


def read_audio_table(table: Dataset, column: str, data: str) -> Dataset:
    """Read a table with a column of the type Audio, or with paths in a column such as file_name."""
    text_column = find_text_column(table, column, data)
    audio_column = next((name for name, feature in table.features.items() if isinstance(feature, Audio)), None)
    if audio_column is not None:
        table = table.cast_column(audio_column, Audio(decode=False)).select_columns([audio_column, text_column])
        return table.rename_columns({audio_column: "audio", text_column: "text"})
    file_column = next((name for name in FILE_COLUMNS if name in table.column_names), None)
    if file_column is None:
        raise UsageError(f"--data {data} has no column of sound; it has {', '.join(table.column_names)}")
    folder = Path(data).parent if Path(data).is_file() else Path(data)
    audio = list(map(file_source, locate_files(folder, table[file_column], SUFFIXES)))
    return Dataset.from_dict({"audio": audio, "text": list(table[text_column])})


def find_text_column(table: Dataset, column: str, where: str) -> str:
    """Return ``column`` if it exists, or a usual name in place of the default one.

    Raises:
        UsageError: there is no such column.
    """
    if column in table.column_names:
        return column
    usual = next((name for name in TEXT_COLUMNS if column == TEXT_COLUMNS[0] and name in table.column_names), None)
    if usual is None:
        raise unknown_name("column", column, table.column_names, f"--text-column names that of {where}")
    return usual
