"""Sound and videos in containers, decoded by FFmpeg: opened whatever the file's name, and read on behind damage."""

import errno
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError

MAX_POSITION = 1 << 40  # bytes; further on there is no file, and file systems differ in what they answer

Note = Callable[[str], None]  # takes what is to be said of a file that can be used; printed after the file's name


def no_note(text: str) -> None:
    """Say nothing, where a file has been reported before."""


class SoughtFile:
    """A file for FFmpeg, which answers a position that no file has with an error code.

    PyAV would print the traceback of an exception, and FFmpeg seeks wherever a damaged file tells it to.
    """

    def __init__(self, file: io.BytesIO | io.BufferedReader):
        self.file, self.read, self.tell = file, file.read, file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Return the new position, or the negative number of an error."""
        try:
            return -errno.EINVAL if offset > MAX_POSITION else self.file.seek(offset, whence)
        except (OSError, ValueError):
            return -errno.EINVAL


@contextmanager
def open_container(source: str | Path | bytes) -> Iterator[InputContainer]:
    """Open a path or the content of a file."""
    # An open file instead of its name, of which FFmpeg takes what is before a colon for a protocol.
    with (
        io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file,
        av.open(SoughtFile(file), mode="r", metadata_errors="ignore") as container,
    ):
        yield container


def can_decode(stream: av.AudioStream | av.VideoStream) -> bool:
    """Tell whether there is a decoder for the codec of a stream."""
    return stream.codec_context is not None


def decode_packets(
    container: InputContainer, stream: av.AudioStream | av.VideoStream, errors: list[FFmpegError]
) -> Iterator[Any]:
    """Decode the frames of a stream packet by packet, and leave out damaged packets.

    Args:
        container: The open file.
        stream: One of its streams, which can be decoded.
        errors: Collects the errors, one for each damaged packet.
    """
    for packet in demux_packets(container, stream, errors):
        try:
            yield from stream.codec_context.decode(packet)
        except FFmpegError as error:
            errors.append(error)


def demux_packets(
    container: InputContainer, stream: av.AudioStream | av.VideoStream, errors: list[FFmpegError]
) -> Iterator[av.Packet | None]:
    """Read packets up to the end, and go on behind an error as long as further packets follow.

    None at the end asks the decoder for the frames that it still holds.
    """
    has_followed = True
    while has_followed:
        has_followed = False
        try:
            for packet in container.demux(stream):
                has_followed = True
                if packet.size:
                    yield packet
            break
        except FFmpegError as error:
            errors.append(error)
    yield None


def describe_damage(errors: Sequence[FFmpegError]) -> str:
    """Say how much of a file was left out, to be printed after its name."""
    return f"is damaged: {len(errors)} {'packet is' if len(errors) == 1 else 'packets are'} left out"
