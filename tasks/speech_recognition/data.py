"""Recordings with their transcripts: where they are found, and their features, computed once and kept on disk."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from datasets import Audio, Dataset, Features, List, Value
from jaxtyping import Float

from tasks.common.data import cache
from tasks.common.data.tables import SPLITS, read_metadata, read_table, report_invalid_rows
from tasks.common.errors import UsageError, unknown_name
from tasks.speech_recognition.features import FRAMES, RATE, change_speed
from tasks.speech_recognition.sound import SHORTEST, SoundError, problem, read_sound

VERSION = 1  # of what is kept on disk; a change of the features' computation needs another
FASTEST = 40  # characters a second that nobody speaks
COLUMNS = Features(
    {"source": List(Value("binary")), "length": Value("int32"), "width": Value("int32"), "problem": Value("string")}
)
TEXTS = ("text", "sentence", "transcription", "transcript")  # columns that data sets keep transcripts in


@runtime_checkable
class Extractor(Protocol):
    """Sound to what an encoder reads: (frames, features) at FRAMES a second. The same sound, the same answer."""

    def __call__(self, samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "frames features"]: ...

    def to_config(self) -> dict[str, Any]:
        """All that the answer depends on beside the sound."""
        ...


def load_recordings(
    table: Dataset, where: str, extractor: Extractor, speeds: tuple[float, ...], skip_invalid: bool
) -> Dataset:
    """Columns source (the features of the sound at each of ``speeds``, as bytes), length in frames, and text.

    ``table`` is what ``find`` found. Raises UsageError for bad rows, all at once.
    """
    examples = extract(table, extractor, speeds)
    width = next((found for found in examples["width"] if found), 0)
    problems = {
        row: wrong
        for row, (failure, own, length, said) in enumerate(
            zip(examples["problem"], examples["width"], examples["length"], table["text"], strict=True)
        )
        if (wrong := failure or mismatch(own, width, length, said))
    }
    named = {row: f"({Path(table[row]['audio']['path'] or '?').name}) {wrong}" for row, wrong in problems.items()}
    report_invalid_rows(named, len(table), where, skip_invalid)
    good = [row for row in range(len(table)) if row not in problems]
    if not good:
        raise UsageError(f"{where}: no row is left to use")
    texts = table.select(good)["text"]
    return examples.select(good).select_columns(["source", "length"]).add_column("text", list(texts))


def mismatch(width: int, usual: int, length: int, text: object) -> str | None:
    """Why sound and text cannot be trained on together, or None."""
    if width != usual:
        return f"has {width} features a frame where the others have {usual}"
    if not isinstance(text, str) or not text.strip():
        return "has no transcript"
    if len(text) * FRAMES > length * FASTEST:
        return f"has {len(text)} characters for {length / FRAMES:.2f} s: a wrong transcript"
    return None


def find(data: str, split: str, text: str) -> Dataset:
    """Columns audio (path or bytes) and text of a split, nothing read yet. Raises UsageError if it is not there."""
    folder = Path(data)
    for name in SPLITS[split]:
        if (folder / name).is_dir():
            found = sound_folder(folder / name, text)
            if found is not None:
                return found
    librispeech = sorted(part for name in SPLITS[split] for part in folder.glob(f"{name}-*") if part.is_dir())
    if librispeech:
        return transcribed(librispeech)
    table = read_table(data, split)
    if table is None:
        raise UsageError(
            f"--data {data} has no {split} split: neither {split}/metadata.jsonl or .csv with a column file_name, "
            f"nor LibriSpeech's {split}-* folders, nor a table like {split}.parquet"
        )
    return sound_table(table, text, data)


def sound_folder(folder: Path, text: str) -> Dataset | None:
    """The audiofolder convention: metadata.jsonl or metadata.csv beside the files that its column file_name names."""
    table = read_metadata(folder)
    if table is None:
        return None
    column = transcript_column(table, text, str(folder))
    audio = [{"path": path, "bytes": None} for path in table["file_name"]]
    return Dataset.from_dict({"audio": audio, "text": list(table[column])})


def transcribed(folders: list[Path]) -> Dataset:
    """LibriSpeech's layout: SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt beside the .flac files it transcribes."""
    rows: dict[str, list] = {"audio": [], "text": []}
    for listing in sorted(file for folder in folders for file in folder.rglob("*.trans.txt")):
        for line in listing.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            rows["audio"].append({"path": str(listing.parent / f"{name}.flac"), "bytes": None})
            rows["text"].append(text)
    if not rows["text"]:
        raise UsageError(f"{folders[0]} holds no *.trans.txt; LibriSpeech's layout is expected there")
    return Dataset.from_dict(rows)


def sound_table(table: Dataset, text: str, data: str) -> Dataset:
    """A table with a column of sound: of the hub's Audio kind, or paths."""
    column = transcript_column(table, text, data)
    sound = next((name for name, kind in table.features.items() if isinstance(kind, Audio)), None)
    if sound is not None:
        table = table.cast_column(sound, Audio(decode=False))
        return table.select_columns([sound, column]).rename_columns({sound: "audio", column: "text"})
    if "file_name" not in table.column_names:
        raise UsageError(f"--data {data} has no column of sound; it has {', '.join(table.column_names)}")
    audio = [{"path": str(Path(data) / str(file)), "bytes": None} for file in table["file_name"]]
    return Dataset.from_dict({"audio": audio, "text": list(table[column])})


def transcript_column(table: Dataset, text: str, where: str) -> str:
    if text in table.column_names:
        return text
    usual = next((name for name in TEXTS if text == TEXTS[0] and name in table.column_names), None)
    if usual is None:
        raise unknown_name("column", text, table.column_names, f"--text names that of {where}")
    return usual


def extract(table: Dataset, extractor: Extractor, speeds: tuple[float, ...]) -> Dataset:
    """Columns source, length, width and problem of each row, from the disk if they were computed before."""
    identity = json.dumps([VERSION, extractor.to_config(), speeds, fingerprint(table)], sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()[:24]
    return table.map(
        Extraction(extractor, speeds),
        remove_columns=table.column_names,
        features=COLUMNS,
        cache_file_name=str(cache.cache_dir() / f"sound-{key}.arrow"),
        new_fingerprint=key,
        writer_batch_size=100,
        num_proc=cache.num_processes(len(table)),
    )


def fingerprint(table: Dataset) -> str:
    """Changes when any of the files does, by its size or time, or any of the bytes that the table holds itself."""
    state = hashlib.sha256()
    for audio in table["audio"]:
        if audio["bytes"] is not None:
            state.update(hashlib.sha256(audio["bytes"]).digest())
        else:
            state.update(cache.file_key(Path(audio["path"])).encode())
    return state.hexdigest()


class Extraction:
    """A row's features, or what is wrong with it; an object, so that other processes can be given it."""

    def __init__(self, extractor: Extractor, speeds: tuple[float, ...]):
        self.extractor, self.speeds = extractor, speeds
        self.home = os.getpid()

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if os.getpid() != self.home:  # a forked process must not wait for threads that it does not have
            torch.set_num_threads(1)
        audio = row["audio"]
        try:
            variants = features_of(audio["bytes"] or audio["path"], self.extractor, self.speeds)
        except ValueError as error:  # also of an extractor that will not read so much
            return {"source": [], "length": 0, "width": 0, "problem": str(error)}
        return {
            "source": [cache.pack_array(frames) for frames in variants],
            "length": max(len(frames) for frames in variants),
            "width": variants[0].shape[1],
            "problem": "",
        }


def features_of(
    source: str | bytes, extractor: Extractor, speeds: tuple[float, ...] = (1.0,)
) -> list[Float[np.ndarray, "_ features"]]:
    """The features of a recording at each speed; of a .npy file what it holds, (frames, features), at any speed.

    Raises SoundError, also for what can be read but not used.
    """
    if isinstance(source, str) and source.endswith(".npy"):
        return [read_frames(source)] * len(speeds)
    samples = read_sound(source, RATE)
    wrong = problem(samples, RATE)
    if wrong:
        raise SoundError(wrong)
    return [extractor(samples if speed == 1.0 else change_speed(samples, speed)) for speed in speeds]


def read_frames(path: str) -> Float[np.ndarray, "frames features"]:
    """Features made elsewhere. Raises SoundError for what is no finite matrix of some length."""
    try:
        frames = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise SoundError("does not exist") from None
    except (ValueError, OSError, EOFError) as error:
        raise SoundError(f"is no .npy file that can be read ({error})") from error
    if frames.ndim != 2 or not np.issubdtype(frames.dtype, np.floating):
        raise SoundError(f"holds {frames.dtype} of shape {frames.shape}; (frames, features) is expected")
    if len(frames) < SHORTEST * FRAMES:
        raise SoundError(f"has {len(frames)} frames; at least {SHORTEST * FRAMES:.0f} are needed")
    if not np.isfinite(frames).all():
        raise SoundError("holds numbers that are not finite")
    return frames.astype(np.float32)
