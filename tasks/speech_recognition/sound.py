"""Sound from any file, and where to cut a long one."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import soundfile
from av.error import FFmpegError
from jaxtyping import Bool, Float

BLOCK = 1 << 20  # samples that soundfile reads at a time
# How the files begin that soundfile reads, faster than PyAV. It reads mp3 too, but prints warnings while it does.
BEGINNINGS = (b"RIFF", b"RF64", b"fLaC", b"OggS")
SILENT = 1e-4  # a peak below it, -80 dB, is no sound
SHORTEST = 0.1  # seconds
PAUSE = 0.3  # seconds of silence that part two pieces
MARGIN = 0.1  # seconds of silence that a piece keeps at its ends
TICK = 0.01  # seconds, in which loudness is measured
ABOVE = 6.0  # decibels by which speech is louder than the background at least


class SoundError(ValueError):
    """A sound that cannot be used, told so that it fits behind the name of the file."""


def read_sound(source: str | Path | bytes, rate: int) -> Float[np.ndarray, " samples"]:
    """All channels' mean at ``rate`` Hz, full scale being -1 to 1, of a file or of what a file would hold.

    soundfile reads wav, flac and ogg, PyAV the rest, mp3 and the sound tracks of videos among them; both block by
    block, so that an hour in stereo is never in memory as such. What can be read of a truncated file is returned.
    Raises SoundError.
    """
    if beginning(source) in BEGINNINGS:
        try:
            return mix_down(frames_by_soundfile(source), rate)
        except (soundfile.LibsndfileError, TypeError):  # TypeError: a .raw file, whatever it holds
            pass  # an .avi or a video in ogg, for instance
    try:
        return mix_down(frames_by_pyav(source), rate)
    except SoundError:
        raise
    except (FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SoundError(f"is no sound that can be read ({reason})") from error


def beginning(source: str | Path | bytes) -> bytes:
    """The first four bytes. Raises SoundError where there are none."""
    try:
        if isinstance(source, bytes):
            found = source[:4]
        elif not Path(source).is_file():
            raise SoundError("is no file" if Path(source).exists() else "does not exist")
        else:
            with open(source, "rb") as file:
                found = file.read(4)
    except OSError as error:
        raise SoundError(f"cannot be read ({error.strerror})") from error
    if not found:
        raise SoundError("is empty (0 bytes)")
    return found


def frames_by_soundfile(source: str | Path | bytes) -> Iterator[av.AudioFrame]:
    """One channel, the mean of all."""
    with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
        # Not file.blocks: it fills up what a truncated file lacks with whatever the memory held before.
        while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
            frame = av.AudioFrame.from_ndarray(block.mean(axis=1)[None], format="fltp", layout="mono")
            frame.sample_rate = file.samplerate
            yield frame


def frames_by_pyav(source: str | Path | bytes) -> Iterator[av.AudioFrame]:
    """The first sound track, in all its channels."""
    file = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(file, mode="r", metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise SoundError("has no sound track")
        yield from container.decode(audio=0)


def mix_down(frames: Iterable[av.AudioFrame], rate: int) -> Float[np.ndarray, " samples"]:
    """Resampled by FFmpeg, then averaged: FFmpeg's own way to mix makes two equal channels louder than one."""
    resampler = av.AudioResampler(format="fltp", rate=rate)
    blocks: list[np.ndarray] = []
    try:
        for frame in frames:
            blocks += (block.to_ndarray().mean(axis=0) for block in resampler.resample(frame))
    except FFmpegError:
        if not blocks:  # else a truncated file, which gives what it has
            raise
    if blocks:
        blocks += (block.to_ndarray().mean(axis=0) for block in resampler.resample(None))
    return np.concatenate([np.zeros(0, dtype=np.float32), *blocks])


def problem(samples: Float[np.ndarray, " samples"], rate: int) -> str | None:
    """Why a sound cannot be used, or None."""
    if len(samples) < SHORTEST * rate:
        return f"lasts {len(samples) / rate:.2f} s; at least {SHORTEST} s are needed"
    if not np.isfinite(samples).all():
        return "holds samples that are not finite"
    if np.abs(samples).max() < SILENT:
        return "is silent"
    return None


def cut_at_silence(
    samples: Float[np.ndarray, " samples"], rate: int, longest: int | float
) -> list[tuple[float, float]]:
    """Where the speech of a recording is, in seconds: pieces of at most ``longest``, the pauses between left out.

    Speech is what is louder than the recording's own background; where nothing is, there are no pieces. Pauses of
    PAUSE seconds part it; neighbours are joined again as long as they fit into a piece. What has no pause for too
    long is cut where it is least loud. A recording that is no longer than ``longest`` is one piece, as it is.
    """
    seconds = len(samples) / rate
    if seconds <= longest:
        return [(0.0, seconds)]
    size = round(TICK * rate)
    tick = size / rate  # not always TICK to the last digit, which would add up over an hour
    ticks = samples[: len(samples) // size * size].reshape(-1, size)
    loudness = 10 * np.log10(np.einsum("ts,ts->t", ticks, ticks) / size + 1e-10)  # decibels, each tick
    quiet, loud = np.percentile(loudness, [5, 95])
    speech = loudness > quiet + max(ABOVE, 0.35 * (loud - quiet))
    margin, limit = round(MARGIN / tick), int(longest / tick)
    pieces: list[tuple[int, int]] = []
    for start, end in speech_spans(speech, round(PAUSE / tick)):
        start, end = max(0, start - margin), min(len(speech), end + margin)
        if pieces and end - pieces[-1][0] <= limit:
            start = pieces.pop()[0]
        pieces += split_span(loudness, start, end, limit)
    return [(start * tick, end * tick) for start, end in pieces]


def speech_spans(speech: Bool[np.ndarray, " ticks"], pause: int) -> list[tuple[int, int]]:
    """Where speech begins and ends, in ticks; what is shorter than ``pause`` does not interrupt it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speech, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    parted = starts[1:] - ends[:-1] >= pause
    starts, ends = np.append(starts[:1], starts[1:][parted]), np.append(ends[:-1][parted], ends[-1:])
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def split_span(loudness: Float[np.ndarray, " ticks"], start: int, end: int, limit: int) -> list[tuple[int, int]]:
    """``start`` to ``end`` in pieces of at most ``limit`` ticks, cut where the second half of a piece is least loud."""
    pieces = []
    while end - start > limit:
        smooth = np.convolve(loudness[start + limit // 2 : start + limit], np.ones(5) / 5, mode="same")
        middle = start + limit // 2 + int(smooth.argmin())
        pieces.append((start, middle))
        start = middle
    return [*pieces, (start, end)]
