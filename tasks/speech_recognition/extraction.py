"""The features of recordings, computed once and cached, and the check of all recordings before training."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float

from tasks.common.data.arrays import pack_array
from tasks.common.data.cache import map_cached, num_processes
from tasks.common.data.containers import Note, no_note
from tasks.common.data.media_files import MediaError, file_content, load_array, path_key, to_finite_floats
from tasks.common.data.row_reports import report_invalid_rows, report_notes, row_numbers
from tasks.common.errors import UsageError
from tasks.speech_recognition.babble import Babble
from tasks.speech_recognition.features import FRAMES_PER_SECOND, SAMPLE_RATE_HZ, change_speed
from tasks.speech_recognition.sound import MIN_DURATION_S, peak_of, read_sound, sound_problem

if TYPE_CHECKING:
    import datasets

VERSION = 3  # of the cached features; increase it when their computation changes
MAX_CHARACTERS_PER_SECOND = 40  # nobody speaks faster


def columns() -> "datasets.Features":
    """Return the types of the columns of extracted features."""
    import datasets

    return datasets.Features(
        {
            "source": datasets.List(datasets.Value("binary")),
            "length": datasets.Value("int32"),
            "feature_dim": datasets.Value("int32"),
            "problem": datasets.Value("string"),
            "note": datasets.Value("string"),
        }
    )


@runtime_checkable
class SpeechPreprocessor(Protocol):
    """Computes the encoder's inputs from sound: FRAMES_PER_SECOND frames per second. Deterministic."""

    def __call__(self, samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "frames features"]: ...

    def to_config(self) -> dict[str, Any]:
        """Return everything that the result depends on except the sound, in JSON's types."""
        ...


def extract_features(
    table: "datasets.Dataset",
    where: str,
    preprocessor: SpeechPreprocessor,
    *,
    speeds: tuple[float, ...] = (1.0,),
    babble_snrs: tuple[float, ...] = (),
    skip_invalid: bool,
) -> "datasets.Dataset":
    """Compute the features of all recordings, or read them from the cache, and check them.

    Args:
        table: The columns audio (path or bytes) and text; others are kept.
        where: The name of the data in messages.
        preprocessor: Computes the features.
        speeds: Speeds at which each recording is played.
        babble_snrs: Signal-to-noise ratios in dB at which babble of the other recordings is added to each.
        skip_invalid: Skip invalid rows.

    Returns:
        The valid rows, with the columns source (packed features: without noise at each speed, then with each noise at
        each speed) and length, in frames, in place of audio.

    Raises:
        UsageError: rows are invalid and may not be skipped, or none is valid.
    """
    import datasets

    examples = map_recordings(table, preprocessor, speeds, babble_snrs)
    expected_dim = next((dim for dim in examples["feature_dim"] if dim), 0)
    columns = zip(examples["problem"], examples["feature_dim"], examples["length"], table["text"], strict=True)
    problems = {
        row: problem
        for row, (unreadable, dim, length, text) in enumerate(columns)
        if (problem := unreadable or row_problem(dim, expected_dim, length, text))
    }
    names = {row: Path(table[row]["audio"]["path"] or "?").name for row in problems}
    numbers = row_numbers(table)
    described = {numbers[row]: f"({names[row]}) {problem}" for row, problem in problems.items()}
    report_invalid_rows(described, len(table), where, skip_invalid)
    valid = [row for row in range(len(table)) if row not in problems]
    if not valid:
        raise UsageError(f"{where}: no valid row is left")
    notes = {row: note for row, note in enumerate(examples["note"]) if note and row not in problems}
    names = {row: Path(table[row]["audio"]["path"] or "?").name for row in notes}
    described = {numbers[row]: f"({names[row]}) {note}" for row, note in notes.items()}
    report_notes(described, len(table), where)
    extracted = examples.select(valid).select_columns(["source", "length"])
    return datasets.concatenate_datasets([extracted, table.select(valid).remove_columns("audio")], axis=1)


def row_problem(feature_dim: int, expected_dim: int, num_frames: int, text: object) -> str | None:
    """Describe why features and transcript can't be trained on together; None if they can."""
    if feature_dim != expected_dim:
        return f"has {feature_dim} features a frame where the others have {expected_dim}"
    if not isinstance(text, str) or not text.strip():
        return "has no transcript"
    if len(text) * FRAMES_PER_SECOND > num_frames * MAX_CHARACTERS_PER_SECOND:
        return f"has {len(text)} characters for {num_frames / FRAMES_PER_SECOND:.2f} s: a wrong transcript"
    return None


def map_recordings(
    table: "datasets.Dataset",
    preprocessor: SpeechPreprocessor,
    speeds: tuple[float, ...],
    babble_snrs: tuple[float, ...],
) -> "datasets.Dataset":
    """Return the columns source, length, feature_dim and problem of each row; the results are cached."""
    babble = Babble(table["audio"], babble_snrs) if babble_snrs else None
    variants = [speeds, babble_snrs] if babble_snrs else [speeds]
    settings = json.dumps([VERSION, preprocessor.to_config(), *variants, audio_fingerprint(table)], sort_keys=True)
    key = hashlib.sha256(settings.encode()).hexdigest()[:24]
    return map_cached(
        table,
        ExtractRow(preprocessor, speeds, babble),
        f"sound-{key}",
        "extracting features of recordings",
        num_processes(len(table)),
        with_indices=True,
        remove_columns=table.column_names,
        features=columns(),
        writer_batch_size=100,
    )


def audio_fingerprint(table: "datasets.Dataset") -> str:
    """Return a hash that changes with the size or time of any file, or with any content in the table."""
    state = hashlib.sha256()
    for audio in table["audio"]:
        if audio["bytes"] is not None:
            state.update(hashlib.sha256(audio["bytes"]).digest())
        else:
            state.update(path_key(audio["path"]).encode())
    return state.hexdigest()


class ExtractRow:
    """Computes a row's features, or describes what is wrong; an object, so that it can be sent to other processes."""

    def __init__(self, preprocessor: SpeechPreprocessor, speeds: tuple[float, ...], babble: Babble | None):
        self.preprocessor, self.speeds, self.babble = preprocessor, speeds, babble
        self.main_process = os.getpid()

    def __call__(self, row: Mapping[str, Any], index: int) -> dict[str, Any]:
        if os.getpid() != self.main_process:  # a forked process would wait for threads that it does not have
            torch.set_num_threads(1)
        audio = row["audio"]
        try:
            notes: list[str] = []
            variants = self.load_variants(file_content(audio), index, notes.append)
        except ValueError as error:  # MediaError, or a preprocessor's for sound that is too long
            return {"source": [], "length": 0, "feature_dim": 0, "problem": str(error), "note": ""}
        return {
            "source": [pack_array(frames) for frames in variants],
            "length": max(len(frames) for frames in variants),
            "feature_dim": variants[0].shape[1],
            "problem": "",
            "note": "; ".join(notes),
        }

    def load_variants(self, source: str | bytes, index: int, note: Note) -> list[Float[np.ndarray, "_ features"]]:
        """Compute the features of a recording, without and with noise, at each speed.

        A .npy file holds features, which are the same in all variants.

        Raises:
            MediaError: it can't be read or used.
        """
        if isinstance(source, str) and source.endswith(".npy"):
            num_noises = 0 if self.babble is None else len(self.babble.snrs_db)
            return [read_feature_file(source)] * (len(self.speeds) * (1 + num_noises))
        samples = read_speech(source, note)
        sounds = [samples, *([] if self.babble is None else self.babble(samples, index))]
        return [
            self.preprocessor(sound if speed == 1.0 else change_speed(sound, speed))
            for sound in sounds
            for speed in self.speeds
        ]


def read_speech(source: str | bytes, note: Note = no_note) -> Float[np.ndarray, " samples"]:
    """Read a recording at the sample rate of the features.

    Raises:
        MediaError: it can't be read or used.
    """
    samples = read_sound(source, SAMPLE_RATE_HZ, note)
    problem = sound_problem(len(samples), peak_of(samples), SAMPLE_RATE_HZ)
    if problem:
        raise MediaError(problem)
    return samples


def read_feature_file(path: str) -> Float[np.ndarray, "frames features"]:
    """Read features from a .npy file.

    Raises:
        MediaError: it is not a matrix of some length, of numbers that ``pack_array`` can pack.
    """
    frames = load_array(path)
    if frames.ndim != 2 or not np.issubdtype(frames.dtype, np.floating):
        raise MediaError(f"holds {frames.dtype} of shape {frames.shape}; (frames, features) is expected")
    if len(frames) < MIN_DURATION_S * FRAMES_PER_SECOND:
        raise MediaError(f"has {len(frames)} frames; at least {MIN_DURATION_S * FRAMES_PER_SECOND:.0f} are needed")
    frames, limit = to_finite_floats(frames), float(np.finfo(np.float16).max)
    largest = float(np.abs(frames).max(initial=0))
    if largest > limit:
        raise MediaError(f"holds numbers of up to {largest:g}; features are kept in half precision, up to {limit:g}")
    return frames
