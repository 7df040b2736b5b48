"""Segments of a long recording: what is spoken in it, found and read without ever holding the whole of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from tasks.common.data.containers import Note, no_note
from tasks.common.data.media_files import MediaError
from tasks.speech_recognition.sound import Block, join_blocks, peak_of, read_blocks, sound_problem

MIN_PAUSE_S = 0.3  # shorter silences do not separate segments
MARGIN_S = 0.1  # silence that a segment keeps at its ends
TICK_S = 0.01  # unit of time in which loudness is measured
MIN_SPEECH_DB = 6.0  # above the background

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """Length, loudness and peak of a recording that was read once.

    Attributes:
        num_samples: Its length.
        peak: Its largest magnitude.
        loudness_db: The loudness of each tick.
        tick_s: The duration of a tick: TICK_S only approximately, which would add up over an hour.
        samples: The recording itself, if it is short enough to be kept.
    """

    num_samples: int
    peak: float
    loudness_db: Float[np.ndarray, " ticks"]
    tick_s: float
    samples: Float[np.ndarray, " samples"] | None


def read_segments(
    source: str | Path | bytes,
    sample_rate_hz: int,
    max_duration_s: int | float,
    compute: Callable[[Float[np.ndarray, " samples"]], T],
    note: Note = no_note,
) -> list[tuple[tuple[float, float], T]]:
    """Read the segments of a recording that have speech.

    Where speech is can be told from the loudness of the whole recording alone. So a long one is read twice, and only a
    segment of it is in memory at a time; one that is short enough is one segment, unchanged.

    Args:
        source: A path, or the content of a file.
        sample_rate_hz: The sample rate of the segments.
        max_duration_s: Their maximum length.
        compute: What to make of the samples of each.
        note: See ``read_blocks``.

    Returns:
        Begin and end of each segment in seconds, with what was made of it; nothing if nothing is louder than the
        background.

    Raises:
        MediaError: the recording can't be read or used.
    """
    found = read_blocks(source, sample_rate_hz, lambda blocks: survey(blocks, sample_rate_hz, max_duration_s), note)
    problem = sound_problem(found.num_samples, found.peak, sample_rate_hz)
    if problem:
        raise MediaError(problem)
    if found.samples is not None:
        return [((0.0, found.num_samples / sample_rate_hz), compute(found.samples))]
    spans = split_at_silence(found.loudness_db, found.tick_s, max_duration_s)
    bounds = [(round(start * sample_rate_hz), round(end * sample_rate_hz)) for start, end in spans]
    made = read_blocks(source, sample_rate_hz, lambda blocks: [compute(each) for each in cut(blocks, bounds)])
    return list(zip(spans, made, strict=True))


def survey(blocks: Iterator[Block], sample_rate_hz: int, max_kept_s: int | float) -> Survey:
    """Measure a recording, and keep it if it lasts no longer than ``max_kept_s``."""
    samples_per_tick = round(TICK_S * sample_rate_hz)
    num_samples, peak, rest = 0, 0.0, np.zeros(0, dtype=np.float32)
    kept: list[Block] | None = []
    powers = [np.zeros(0, dtype=np.float32)]
    for block in blocks:
        num_samples, peak = num_samples + len(block), float(np.maximum(peak, peak_of(block)))
        if num_samples > max_kept_s * sample_rate_hz:
            kept = None
        if kept is not None:
            kept.append(block)
        rest = np.concatenate([rest, block])
        ticks = rest[: len(rest) // samples_per_tick * samples_per_tick].reshape(-1, samples_per_tick)
        powers.append(np.einsum("ts,ts->t", ticks, ticks) / samples_per_tick)
        rest = rest[ticks.size :]
    loudness_db = 10 * np.log10(np.concatenate(powers) + 1e-10)
    samples = None if kept is None else join_blocks(iter(kept))
    return Survey(num_samples, peak, loudness_db, samples_per_tick / sample_rate_hz, samples)


def cut(blocks: Iterator[Block], bounds: list[tuple[int, int]]) -> Iterator[Float[np.ndarray, " samples"]]:
    """Yield parts of a recording, given by the numbers of their first samples and of those after their last ones.

    The parts are in order, and do not overlap.
    """
    held, offset = np.zeros(0, dtype=np.float32), 0  # samples from this number on
    for start, end in bounds:
        while offset + len(held) < end and (block := next(blocks, None)) is not None:
            needed = held[max(0, start - offset) :]
            offset += len(held) - len(needed)
            held = np.concatenate([needed, block])
        yield held[start - offset : end - offset]
    for _ in blocks:  # the rest of the file may be damaged, which is to be noticed as in the first reading
        pass


def split_at_silence(
    loudness_db: Float[np.ndarray, " ticks"], tick_s: float, max_duration_s: int | float
) -> list[tuple[float, float]]:
    """Split a recording into segments of speech, without the pauses between them.

    Speech is what is louder than the background of the recording. Speech is split at pauses of MIN_PAUSE_S or more, and
    neighbors are joined again while they fit into one segment. Speech without a pause for too long is split where it is
    least loud.

    Args:
        loudness_db: The loudness of each tick.
        tick_s: The duration of a tick.
        max_duration_s: The maximum length of a segment.

    Returns:
        Begin and end of each segment in seconds; nothing if nothing is louder than the background.
    """
    quiet_db, loud_db = np.percentile(loudness_db, [5, 95])
    is_speech = loudness_db > quiet_db + max(MIN_SPEECH_DB, 0.35 * (loud_db - quiet_db))
    margin, max_length = round(MARGIN_S / tick_s), int(max_duration_s / tick_s)
    segments: list[tuple[int, int]] = []
    for start, end in speech_spans(is_speech, round(MIN_PAUSE_S / tick_s)):
        start, end = max(0, start - margin), min(len(is_speech), end + margin)
        if segments and end - segments[-1][0] <= max_length:
            start = segments.pop()[0]
        segments += split_span(loudness_db, start, end, max_length)
    return [(start * tick_s, end * tick_s) for start, end in segments]


def speech_spans(is_speech: Bool[np.ndarray, " ticks"], min_pause: int) -> list[tuple[int, int]]:
    """Return begin and end of each span of speech in ticks; shorter silences than ``min_pause`` do not separate."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_speech, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    is_pause = starts[1:] - ends[:-1] >= min_pause
    starts, ends = np.append(starts[:1], starts[1:][is_pause]), np.append(ends[:-1][is_pause], ends[-1:])
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def split_span(
    loudness_db: Float[np.ndarray, " ticks"], start: int, end: int, max_length: int
) -> list[tuple[int, int]]:
    """Split a span of ticks into parts of at most ``max_length``, where the second half of a part is least loud."""
    parts = []
    while end - start > max_length:
        second_half = loudness_db[start + max_length // 2 : start + max_length]
        smooth = np.convolve(second_half, np.ones(5) / 5, mode="same")
        middle = start + max_length // 2 + int(smooth.argmin())
        parts.append((start, middle))
        start = middle
    return [*parts, (start, end)]
