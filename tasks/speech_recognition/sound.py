"""Sound from any file, and how to split a long recording."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
from av.error import FFmpegError
from jaxtyping import Bool, Float

BLOCK_SIZE = 1 << 20  # samples that soundfile reads at a time
# Signatures of the formats that soundfile reads, faster than PyAV. It reads mp3 too, but prints warnings.
SOUNDFILE_SIGNATURES = (b"RIFF", b"RF64", b"fLaC", b"OggS")
MIN_PEAK = 1e-4  # -80 dB; what has a lower peak is silence
MIN_DURATION_S = 0.1
MIN_PAUSE_S = 0.3  # shorter silences do not separate segments
MARGIN_S = 0.1  # silence that a segment keeps at its ends
TICK_S = 0.01  # unit of time in which loudness is measured
MIN_SPEECH_DB = 6.0  # above the background


class SoundError(ValueError):
    """An unusable sound. The message says what is wrong, to be printed after the file's name."""


def read_sound(source: str | Path | bytes, sample_rate_hz: int) -> Float[np.ndarray, " samples"]:
    """Read the mean of all channels of a file, resampled; full scale is -1 to 1.

    soundfile reads wav, flac and ogg; PyAV reads the rest, such as mp3 and the sound of videos. Both read blocks, so an
    hour in stereo is never in memory at once. A truncated file gives what can be read of it.

    Args:
        source: A path, or the content of a file.
        sample_rate_hz: The sample rate of the result.

    Raises:
        SoundError: it can't be read.
    """
    if read_signature(source) in SOUNDFILE_SIGNATURES:
        try:
            return resample_frames(read_with_soundfile(source), sample_rate_hz)
        except (soundfile.LibsndfileError, TypeError):  # TypeError: for any file named .raw
            pass  # an .avi or a video in ogg, for instance
    try:
        return resample_frames(read_with_pyav(source), sample_rate_hz)
    except SoundError:
        raise
    except (FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SoundError(f"is not readable sound ({reason})") from error


def read_signature(source: str | Path | bytes) -> bytes:
    """Read the first four bytes.

    Raises:
        SoundError: there are none.
    """
    try:
        if isinstance(source, bytes):
            signature = source[:4]
        elif not Path(source).is_file():
            raise SoundError("is not a file" if Path(source).exists() else "does not exist")
        else:
            with open(source, "rb") as file:
                signature = file.read(4)
    except OSError as error:
        raise SoundError(f"cannot be read ({error.strerror})") from error
    if not signature:
        raise SoundError("is empty (0 bytes)")
    return signature


def read_with_soundfile(source: str | Path | bytes) -> Iterator[av.AudioFrame]:
    """Read blocks of one channel, the mean of all."""
    with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
        # Not file.blocks: it fills up what is missing in a truncated file with uninitialized memory.
        while len(block := file.read(BLOCK_SIZE, dtype="float32", always_2d=True)):
            frame = av.AudioFrame.from_ndarray(block.mean(axis=1)[None], format="fltp", layout="mono")
            frame.sample_rate = file.samplerate
            yield frame


def read_with_pyav(source: str | Path | bytes) -> Iterator[av.AudioFrame]:
    """Read blocks of the first sound track, with all its channels."""
    file = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(file, mode="r", metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise SoundError("has no sound track")
        yield from container.decode(audio=0)


def resample_frames(frames: Iterable[av.AudioFrame], sample_rate_hz: int) -> Float[np.ndarray, " samples"]:
    """Resample blocks with FFmpeg, and average their channels.

    FFmpeg's own mixing would make two equal channels louder than one.
    """
    resampler = av.AudioResampler(format="fltp", rate=sample_rate_hz)
    blocks: list[np.ndarray] = []
    try:
        for frame in frames:
            blocks += (block.to_ndarray().mean(axis=0) for block in resampler.resample(frame))
    except FFmpegError:
        if not blocks:  # otherwise the file is truncated, and what was read before is kept
            raise
    if blocks:
        blocks += (block.to_ndarray().mean(axis=0) for block in resampler.resample(None))
    return np.concatenate([np.zeros(0, dtype=np.float32), *blocks])


def sound_problem(samples: Float[np.ndarray, " samples"], sample_rate_hz: int) -> str | None:
    """Describe why a sound can't be used; None if it can."""
    if len(samples) < MIN_DURATION_S * sample_rate_hz:
        return f"lasts {len(samples) / sample_rate_hz:.2f} s; at least {MIN_DURATION_S} s are needed"
    if not np.isfinite(samples).all():
        return "holds samples that are not finite"
    if np.abs(samples).max() < MIN_PEAK:
        return "is silent"
    return None


def split_at_silence(
    samples: Float[np.ndarray, " samples"], sample_rate_hz: int, max_duration_s: int | float
) -> list[tuple[float, float]]:
    """Split a recording into segments of speech, without the pauses between them.

    Speech is what is louder than the background of the recording. Speech is split at pauses of MIN_PAUSE_S or more, and
    neighbors are joined again while they fit into one segment. Speech without a pause for too long is split where it is
    least loud. A recording that is short enough is one segment, unchanged.

    Args:
        samples: The recording.
        sample_rate_hz: Its sample rate.
        max_duration_s: The maximum length of a segment.

    Returns:
        Begin and end of each segment in seconds; nothing if nothing is louder than the background.
    """
    duration_s = len(samples) / sample_rate_hz
    if duration_s <= max_duration_s:
        return [(0.0, duration_s)]
    samples_per_tick = round(TICK_S * sample_rate_hz)
    tick_s = samples_per_tick / sample_rate_hz  # TICK_S only approximately, which would add up over an hour
    ticks = samples[: len(samples) // samples_per_tick * samples_per_tick].reshape(-1, samples_per_tick)
    loudness_db = 10 * np.log10(np.einsum("ts,ts->t", ticks, ticks) / samples_per_tick + 1e-10)
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
