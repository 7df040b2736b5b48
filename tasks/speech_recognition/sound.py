"""Sound from any file, read block by block."""

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import soundfile
from av.error import FFmpegError
from jaxtyping import Float

from tasks.common.data.containers import Note, can_decode, decode_packets, describe_damage, no_note, open_container
from tasks.common.data.limits import MAX_RECORDING_HOURS, MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from tasks.common.data.media_files import MediaError

BLOCK_SIZE = 1 << 20  # samples of all channels that soundfile reads at a time
# Signatures of the formats that soundfile reads, faster than PyAV. It reads mp3 too, but prints warnings, and ogg, but
# it takes the end of what is not damaged for that of the file.
SOUNDFILE_SIGNATURES = (b"RIFF", b"RF64", b"fLaC")
MAX_RIFF_SIZE = 0x7FFF0000  # bytes; programs that write to a pipe give a larger size, since they do not know it yet
MAX_CANCELLED = 0.01  # -20 dB; channels whose mean has less energy than that of independent ones are cancelled out
MIN_PEAK = 1e-4  # -80 dB; what has a lower peak is silence
MAX_PEAK = 2.0**32  # more than integers of 32 bits that were never scaled to 1 have
MIN_DURATION_S = 0.1

T = TypeVar("T")
Block = Float[np.ndarray, " samples"]
Consume = Callable[[Iterator[Block]], T]  # makes something of the successive blocks of a recording


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
        self.energies = np.pad(self.energies, (0, max(0, num_channels - len(self.energies))))
        with np.errstate(all="ignore"):  # ``sound_problem`` tells of samples that are not finite
            mixed = block.mean(axis=0) if self.channel is None else block[min(self.channel, num_channels - 1)]
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
    """Read the mean of all channels of a file, resampled; full scale is -1 to 1. See ``read_blocks``."""
    return read_blocks(source, sample_rate_hz, join_blocks, note)


def join_blocks(blocks: Iterator[Block]) -> Float[np.ndarray, " samples"]:
    return np.concatenate([np.zeros(0, dtype=np.float32), *blocks])


def read_blocks(source: str | Path | bytes, sample_rate_hz: int, consume: Consume[T], note: Note = no_note) -> T:
    """Read the mean of all channels of a file, resampled, in blocks; full scale is -1 to 1.

    soundfile reads wav and flac; PyAV reads the rest, such as mp3 and the sound of videos. Where channels cancel each
    other out, the loudest one is read alone. Of a damaged or truncated file, everything is read that can be.

    Args:
        source: A path, or the content of a file.
        sample_rate_hz: The sample rate of the result.
        consume: Makes the result of the blocks. It is called once more where the blocks have to be others: what is
            wrong with a file may be known at its end alone.
        note: Is told what was damaged, and which channel is read alone.

    Returns:
        What ``consume`` has made of the blocks of the whole file.

    Raises:
        MediaError: it can't be read.
    """
    mixer = Mixer()
    result = read_mixed(source, sample_rate_hz, mixer, consume, note)
    if mixer.is_cancelled:
        channel = int(mixer.energies.argmax())
        note(f"has channels that cancel each other out: channel {channel + 1} of {len(mixer.energies)} is read alone")
        result = read_mixed(source, sample_rate_hz, Mixer(channel), consume, no_note)
    return result


def read_mixed(source: str | Path | bytes, sample_rate_hz: int, mixer: Mixer, consume: Consume[T], note: Note) -> T:
    """Read a file as ``read_blocks`` does, with this mix of its channels."""
    header = read_header(source)
    if header[:4] in SOUNDFILE_SIGNATURES:
        try:
            result = consume(resample_frames(read_with_soundfile(source, mixer), sample_rate_hz, mixer))
            if is_truncated(source, header):
                note("is truncated: what is left is read")
            return result
        except soundfile.LibsndfileError:
            pass  # an .avi, for instance, or a damaged file
    return consume(decode_with_pyav(source, sample_rate_hz, mixer, note))


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


def decode_with_pyav(source: str | Path | bytes, sample_rate_hz: int, mixer: Mixer, note: Note) -> Iterator[Block]:
    """Read and resample blocks. Raises MediaError for anything that keeps PyAV from it."""
    try:
        yield from resample_frames(read_with_pyav(source, note), sample_rate_hz, mixer)
    except MediaError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"is not readable sound ({reason})") from error


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


def resample_frames(frames: Iterable[av.AudioFrame], sample_rate_hz: int, mixer: Mixer) -> Iterator[Block]:
    """Resample blocks with FFmpeg, and mix their channels. Rate and channels may change from one block to the next.

    Yields:
        Blocks of BLOCK_SIZE samples or a few more, since those of compressed sound are small; the last may be shorter.

    Raises:
        MediaError: its rate is too low or too high, or it lasts too long.
    """
    held: list[Block] = []
    num_held = 0
    room = MAX_RECORDING_HOURS * 3600 * sample_rate_hz
    kind_of_frame = attrgetter("sample_rate", "layout.name", "format.name")
    for (rate, *_), alike in groupby(frames, kind_of_frame):
        if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
            raise MediaError(
                f"has a sample rate of {rate} Hz; allowed are {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz"
            )
        # Packed: of planes PyAV takes the first eight for all, and reads what is not theirs behind them.
        resampler = av.AudioResampler(format="flt", rate=sample_rate_hz)
        for frame in chain(alike, [None]):
            mixed = [mixer(unpack_channels(block)) for block in resampler.resample(frame)]
            held += mixed
            num_held += sum(map(len, mixed))
            room -= 0 if frame is None else frame.samples * sample_rate_hz / rate
            if room < 0:
                raise MediaError(f"lasts longer than {MAX_RECORDING_HOURS} hours: divide it into parts")
            if num_held >= BLOCK_SIZE:
                yield np.concatenate(held)
                held, num_held = [], 0
    if held:
        yield np.concatenate(held)


def unpack_channels(block: av.AudioFrame) -> Float[np.ndarray, "channels samples"]:
    """Return the samples of a block whose channels alternate."""
    return block.to_ndarray().reshape(-1, block.layout.nb_channels).T


def sound_problem(num_samples: int, peak: float, sample_rate_hz: int) -> str | None:
    """Describe why a sound of this length and ``peak_of`` can't be used; None if it can."""
    if num_samples < MIN_DURATION_S * sample_rate_hz:
        return f"lasts {num_samples / sample_rate_hz:.2f} s; at least {MIN_DURATION_S} s are needed"
    if not np.isfinite(peak):
        return "holds samples that are not finite"
    if peak < MIN_PEAK:
        return "is silent"
    if peak > MAX_PEAK:
        return f"has a peak of {peak:.0e}, where full scale is 1"
    return None


def peak_of(samples: Float[np.ndarray, " samples"]) -> float:
    """Return the largest magnitude; it is not finite if that of a sample is not."""
    return float(np.maximum(samples.max(initial=0), -samples.min(initial=0)))
