"""Sound from any file, and how to split a long recording."""

import io
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path

import av
import numpy as np
import soundfile
from av.error import FFmpegError
from jaxtyping import Bool, Float

from tasks.common.data.containers import Note, can_decode, decode_packets, describe_damage, no_note, open_container
from tasks.common.data.limits import MAX_RECORDING_HOURS, MIN_SAMPLE_RATE_HZ
from tasks.common.data.media_files import MediaError

BLOCK_SIZE = 1 << 20  # samples of all channels that soundfile reads at a time
# Signatures of the formats that soundfile reads, faster than PyAV. It reads mp3 too, but prints warnings, and ogg, but
# it takes the end of what is not damaged for that of the file.
SOUNDFILE_SIGNATURES = (b"RIFF", b"RF64", b"fLaC")
MAX_RIFF_SIZE = 0x7FFF0000  # bytes; programs that write to a pipe give a larger size, since they do not know it yet
MAX_CANCELLED = 0.01  # -20 dB; channels whose mean has less energy than that of independent ones are cancelled out
MIN_PEAK = 1e-4  # -80 dB; what has a lower peak is silence
MIN_DURATION_S = 0.1
MIN_PAUSE_S = 0.3  # shorter silences do not separate segments
MARGIN_S = 0.1  # silence that a segment keeps at its ends
TICK_S = 0.01  # unit of time in which loudness is measured
MIN_SPEECH_DB = 6.0  # above the background


class Mixer:
    """Mixes all channels into one, or takes one of them alone.

    FFmpeg's own mixing would make two equal channels louder than one.

    Attributes:
        channel: The channel to take; None for the mean of all.
        energies: The energy of each channel that was mixed so far.
        mixed_energy: The energy of the result.
    """

    def __init__(self, channel: int | None = None):
        self.channel = channel
        self.energies = np.zeros(0)
        self.mixed_energy = 0.0

    def __call__(self, block: Float[np.ndarray, "channels samples"]) -> Float[np.ndarray, " samples"]:
        """Mix a block. The number of channels may differ between blocks."""
        num_channels = len(block)
        if num_channels == 1:
            return block[0]
        mixed = block.mean(axis=0) if self.channel is None else block[min(self.channel, num_channels - 1)]
        self.energies = np.pad(self.energies, (0, max(0, num_channels - len(self.energies))))
        self.energies[:num_channels] += np.einsum("cs,cs->c", block, block)
        self.mixed_energy += float(mixed @ mixed)
        return mixed

    @property
    def is_cancelled(self) -> bool:
        """True if channels of opposite phase have cancelled each other out."""
        # Channels that are independent of each other have a mean of this energy.
        least = float(self.energies.sum()) / max(1, len(self.energies)) ** 2
        return self.mixed_energy < MAX_CANCELLED * least


def read_sound(source: str | Path | bytes, sample_rate_hz: int, note: Note = no_note) -> Float[np.ndarray, " samples"]:
    """Read the mean of all channels of a file, resampled; full scale is -1 to 1.

    soundfile reads wav and flac; PyAV reads the rest, such as mp3 and the sound of videos. Both read blocks, so an hour
    in stereo is never in memory at once. Where channels cancel each other out, the loudest one is read alone. Of a
    damaged or truncated file, everything is read that can be.

    Args:
        source: A path, or the content of a file.
        sample_rate_hz: The sample rate of the result.
        note: Is told what was damaged, and which channel is read alone.

    Raises:
        MediaError: it can't be read.
    """
    mixer = Mixer()
    samples = read_mixed(source, sample_rate_hz, mixer, note)
    if mixer.is_cancelled:
        channel = int(mixer.energies.argmax())
        note(f"has channels that cancel each other out: channel {channel + 1} of {len(mixer.energies)} is read alone")
        samples = read_mixed(source, sample_rate_hz, Mixer(channel), no_note)
    return samples


def read_mixed(
    source: str | Path | bytes, sample_rate_hz: int, mixer: Mixer, note: Note
) -> Float[np.ndarray, " samples"]:
    """Read a file as ``read_sound`` does, with this mix of its channels."""
    header = read_header(source)
    if header[:4] in SOUNDFILE_SIGNATURES:
        try:
            samples = resample_frames(read_with_soundfile(source, mixer), sample_rate_hz, mixer)
            if is_truncated(source, header):
                note("is truncated: what is left is read")
            return samples
        except soundfile.LibsndfileError:
            pass  # an .avi, for instance, or a damaged file
    try:
        return resample_frames(read_with_pyav(source, note), sample_rate_hz, mixer)
    except MediaError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"is not readable sound ({reason})") from error


def read_header(source: str | Path | bytes) -> bytes:
    """Read the first eight bytes: the signature and, in a RIFF file, the size of what follows.

    Raises:
        MediaError: there are none.
    """
    try:
        if isinstance(source, bytes):
            header = source[:8]
        elif not Path(source).is_file():
            raise MediaError("is not a file" if Path(source).exists() else "does not exist")
        else:
            with open(source, "rb") as file:
                header = file.read(8)
    except OSError as error:
        raise MediaError(f"cannot be read ({error.strerror})") from error
    if not header:
        raise MediaError("is empty (0 bytes)")
    return header


def is_truncated(source: str | Path | bytes, header: bytes) -> bool:
    """Tell whether a file is shorter than its RIFF header says; libsndfile reads what is left without a word."""
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    expected = int.from_bytes(header[4:], "little")
    return (
        header[:4] == b"RIFF" and expected <= MAX_RIFF_SIZE and size + 1 < len(header) + expected
    )  # a byte of padding may lack


def read_with_soundfile(source: str | Path | bytes, mixer: Mixer) -> Iterator[av.AudioFrame]:
    """Read blocks of one channel, mixed from all."""
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as content,
        # Without its name, which has to be UTF-8, and stands for raw sound if it ends in .raw.
        soundfile.SoundFile(content if isinstance(source, bytes) else content.fileno(), closefd=False) as file,
    ):
        # Not file.blocks: it fills up what is missing in a truncated file with uninitialized memory.
        while len(block := file.read(max(1, BLOCK_SIZE // file.channels), dtype="float32", always_2d=True)):
            mixed = np.ascontiguousarray(mixer(block.T)[None])
            frame = av.AudioFrame.from_ndarray(mixed, format="fltp", layout="mono")
            frame.sample_rate = file.samplerate
            yield frame


def read_with_pyav(source: str | Path | bytes, note: Note) -> Iterator[av.AudioFrame]:
    """Read blocks of the first sound track, with all its channels."""
    with open_container(source) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            raise MediaError("has no sound track")
        if not can_decode(stream):
            raise MediaError("has sound of an unknown codec")
        errors: list[FFmpegError] = []
        frame = None
        for frame in decode_packets(container, stream, errors):
            yield frame
    if errors and frame is None:
        raise errors[0]
    if errors:
        note(describe_damage(errors))


def resample_frames(
    frames: Iterable[av.AudioFrame], sample_rate_hz: int, mixer: Mixer
) -> Float[np.ndarray, " samples"]:
    """Resample blocks with FFmpeg, and mix their channels. Rate and channels may change from one block to the next.

    Raises:
        MediaError: its rate is too low, or it lasts too long.
    """
    blocks = [np.zeros(0, dtype=np.float32)]
    room = MAX_RECORDING_HOURS * 3600 * sample_rate_hz
    kind_of_frame = attrgetter("sample_rate", "layout.name", "format.name")
    for (rate, *_), alike in groupby(frames, kind_of_frame):
        if rate < MIN_SAMPLE_RATE_HZ:
            raise MediaError(f"has a sample rate of {rate} Hz; allowed are {MIN_SAMPLE_RATE_HZ} Hz or more")
        resampler = av.AudioResampler(format="fltp", rate=sample_rate_hz)
        for frame in chain(alike, [None]):
            blocks += (mixer(block.to_ndarray()) for block in resampler.resample(frame))
            room -= 0 if frame is None else frame.samples * sample_rate_hz / rate
            if room < 0:
                raise MediaError(f"lasts longer than {MAX_RECORDING_HOURS} hours: divide it into parts")
    return np.concatenate(blocks)


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
