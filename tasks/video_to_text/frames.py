"""Frames of a video of any container and codec: some of them are selected, and no more is decoded than they need."""

import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import Float, Int, UInt8
from PIL import Image

from tasks.common.data.containers import (
    Note,
    can_decode,
    decode_packets,
    demux_packets,
    describe_damage,
    no_note,
    open_container,
)
from tasks.common.data.folders import visible_paths
from tasks.common.data.images import MIN_SIDE, open_image
from tasks.common.data.limits import MAX_FRAME_MEGAPIXELS
from tasks.common.data.media_files import MediaError
from tasks.common.data.npy import read_npy
from tasks.video_to_text.config import FrameConfig

NPY_SIGNATURE = b"\x93NUMPY"  # the first bytes of frames packed by ``pack_frames``
DEFAULT_FPS = 25.0  # for videos without timestamps
MIN_PIXELS_FOR_THREADS = 1280 * 720  # smaller frames are decoded faster by a single thread

Frames = UInt8[np.ndarray, "frames height width 3"]


def read_frames(source: str | bytes, config: FrameConfig, size: tuple[int, int] | None, note: Note = no_note) -> Frames:
    """Read the frames that ``config`` selects, upright.

    Args:
        source: The path or content of a video file, a folder of images in the order of their names, or the already
            selected frames, packed by ``pack_frames``.
        config: The selection.
        size: Height and width in pixels to which each frame is resized; None to keep its size.
        note: Is told of damage in what had to be decoded.

    Raises:
        MediaError: it can't be read.
    """
    if isinstance(source, bytes) and source.startswith(NPY_SIGNATURE):
        return resize_frames(unpack_frames(source), size)
    errors: list[FFmpegError] = []
    try:
        if isinstance(source, str) and Path(source).is_dir():
            images = read_folder(Path(source), config)
        else:
            images = read_video(source, config, errors)
        frames = [np.asarray(crop_resize(image, config.crop, size)) for image in images]
        if errors and not frames:
            raise errors[0]
    except MediaError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"is not a readable video ({reason})") from error
    if not frames:
        raise MediaError("has no readable frame")
    if errors:
        note(describe_damage(errors))
    return np.stack(frames)


def select_frames(timestamps: Float[np.ndarray, " all"], config: FrameConfig) -> Int[np.ndarray, " selected"]:
    """Select the frames to read.

    The video is divided into equal intervals of time, and the frame that is shown in the middle of each interval
    is selected. So frames that are shown for longer are selected as often as others of the same duration.

    Args:
    timestamps: Seconds at which each frame begins to be shown, increasing.
        config: Their number.

    Returns:
        The indices of the selected frames, increasing.
    """
    total = len(timestamps)
    last_duration = (timestamps[-1] - timestamps[0]) / (total - 1) if total > 1 else 1 / DEFAULT_FPS
    duration = timestamps[-1] - timestamps[0] + last_duration
    num_by_fps = max(1, round(duration * config.fps)) if config.fps else total
    count = min(config.num_frames or num_by_fps, config.max_frames)
    if count >= total:
        return np.arange(total)
    moments = timestamps[0] + (np.arange(count) + 0.5) * duration / count
    return np.unique(np.searchsorted(timestamps, moments, side="right") - 1)


def unpack_frames(content: bytes) -> Frames:
    """Return the frames packed by ``pack_frames``. Raises MediaError for any other content."""
    try:
        frames = read_npy(content)
    except (ValueError, OSError) as error:
        raise MediaError(f"is not a readable array of frames ({error})") from error
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise MediaError(
            f"holds {frames.dtype} of shape {frames.shape}; frames are uint8 of shape (frames, height, width, 3)"
        )
    return frames


def resize_frames(frames: Frames, size: tuple[int, int] | None) -> UInt8[np.ndarray, "frames rows columns 3"]:
    """Resize frames to a height and width in pixels; None to keep their size."""
    if size is None or frames.shape[1:3] == size:
        return frames
    return np.stack([np.asarray(crop_resize(Image.fromarray(frame), (), size)) for frame in frames])


def crop_resize(image: Image.Image, crop: tuple[int, ...], size: tuple[int, int] | None) -> Image.Image:
    """Crop an image to top, bottom, left, right, and resize it to a height and width.

    Raises:
        MediaError: hardly anything of the image is left.
    """
    width, height = image.size
    top, bottom, left, right = crop or (0, height, 0, width)
    if min(bottom, height) - top < MIN_SIDE or min(right, width) - left < MIN_SIDE:
        needed = f"rows {top}:{bottom}, columns {left}:{right} of it" if crop else f"{MIN_SIDE} × {MIN_SIDE}"
        raise MediaError(f"has frames of {width} × {height} pixels; {needed} are needed")
    box = (left, top, min(right, width), min(bottom, height))
    return image.crop(box) if size is None else image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box)


def read_folder(folder: Path, config: FrameConfig) -> Iterator[Image.Image]:
    """Read the selected images of a folder; frame2.jpg comes before frame10.jpg."""
    files = sorted((file for file in visible_paths(folder) if file.is_file()), key=lambda file: natural_key(file.name))
    if not files:
        raise MediaError("is a folder without files")
    for index in select_frames(np.arange(len(files)) / DEFAULT_FPS, config):
        try:
            yield open_image(str(files[index]))
        except MediaError as error:
            raise MediaError(f"holds {files[index].name}, which {error}") from error


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that compares the numbers in names as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def read_video(source: str | bytes, config: FrameConfig, errors: list[FFmpegError]) -> Iterator[Image.Image]:
    """Decode the selected frames of a video file, in order and upright."""
    if isinstance(source, str) and not Path(source).exists():
        raise MediaError("does not exist")
    if (len(source) if isinstance(source, bytes) else Path(source).stat().st_size) == 0:
        raise MediaError("is empty (0 bytes)")
    timestamps, keyframes, time_base = frame_timestamps(source)
    with open_video(source) as (container, stream):
        if timestamps is not None:
            indices = select_frames(np.array(timestamps) * time_base, config)
            yield from to_upright(decode_at(container, stream, timestamps, keyframes, indices.tolist(), errors))
            return
        total = sum(1 for _ in decode_packets(container, stream, errors))
    if total:  # decoded a second time, so that only one frame is in memory
        errors.clear()
        selected = set(select_frames(np.arange(total) / DEFAULT_FPS, config).tolist())
        with open_video(source) as (container, stream):
            frames = enumerate(decode_packets(container, stream, errors))
            yield from to_upright(frame for index, frame in frames if index in selected)


@contextmanager
def open_video(source: str | bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file with its first video stream; the cover image of a song does not count."""
    with open_container(source) as container:
        streams = (each for each in container.streams.video if not each.disposition & Disposition.attached_pic)
        stream = next(streams, None)
        if stream is None:
            raise MediaError("has no video" + (", only sound" if container.streams.audio else ""))
        if not can_decode(stream):
            raise MediaError("is a video of an unknown codec")
        check_size(stream.width, stream.height)
        # The frames themselves may be larger than the file says.
        stream.codec_context.options = {"max_pixels": str(int(MAX_FRAME_MEGAPIXELS * 1_000_000))}
        stream.thread_type = "AUTO" if stream.width * stream.height >= MIN_PIXELS_FOR_THREADS else "NONE"
        yield container, stream


def check_size(width: int, height: int) -> None:
    """Check the size of a frame in pixels. Raises MediaError if it is too large."""
    if width * height > MAX_FRAME_MEGAPIXELS * 1_000_000:
        raise MediaError(
            f"has frames of {width} × {height} pixels; at most {MAX_FRAME_MEGAPIXELS} million pixels are allowed"
        )


def video_duration(source: str | bytes) -> float | None:
    """Return the seconds that a video lasts; None for anything that does not say when its frames are shown."""
    try:
        timestamps, _, time_base = frame_timestamps(source)
    except (MediaError, FFmpegError, OSError, ValueError):  # a folder of images, an array, or what PyAV can't open
        return None
    if timestamps is None or len(timestamps) < 2:
        return None
    count = len(timestamps)
    return (timestamps[-1] - timestamps[0]) * time_base * count / (count - 1)


def frame_timestamps(source: str | bytes) -> tuple[list[int] | None, list[int], float]:
    """Read when each frame is shown, without decoding any.

    Returns:
        The timestamps of all frames, increasing, or None if the file does not have them for every frame; the timestamps
        of the keyframes, at which decoding can start; and the unit of both in seconds.
    """
    timestamps: list[int] = []
    keyframes: list[int] = []
    num_packets = 0  # they are counted, not kept: together they are as large as the file
    with open_video(source) as (container, stream):
        for packet in demux_packets(container, stream, []):
            if packet is None or packet.is_discard:
                continue
            num_packets += 1
            if packet.pts is not None:
                timestamps.append(packet.pts)
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
        are_complete = num_packets > 0 and len(set(timestamps)) == num_packets
        return sorted(timestamps) if are_complete else None, sorted(keyframes), float(stream.time_base or 1)


def decode_at(
    container: InputContainer,
    stream: VideoStream,
    timestamps: list[int],
    keyframes: list[int],
    indices: Sequence[int],
    errors: list[FFmpegError],
) -> Iterator[av.VideoFrame]:
    """Decode the frames with some indices, and skip what lies before the last keyframe before each.

    Frames that can't be decoded are left out.

    Args:
        container: The video.
        stream: Its video stream.
        timestamps: Timestamps of all frames, increasing.
        keyframes: Timestamps of the keyframes, increasing.
        indices: Indices of the frames among ``timestamps``, increasing.
        errors: Collects the errors of what can't be decoded.
    """
    frames = decode_packets(container, stream, errors)
    last_index, last_timestamp = -1, None  # of the frame decoded last
    for index in indices:
        keyframe = bisect_right(keyframes, timestamps[index]) - 1
        if keyframe >= 0 and bisect_left(timestamps, keyframes[keyframe]) > last_index + 1:
            container.seek(keyframes[keyframe], stream=stream)
            frames = decode_packets(container, stream, errors)
        elif last_timestamp is not None and last_timestamp >= timestamps[index]:
            continue  # the previous index had no frame of its own, and this frame was returned for it
        frame = next((each for each in frames if each.pts is None or each.pts >= timestamps[index]), None)
        if frame is None:
            return
        last_index, last_timestamp = index, frame.pts
        yield frame


def to_upright(frames: Iterable[av.VideoFrame]) -> Iterator[Image.Image]:
    """Convert frames to images, rotated as the file says."""
    for frame in frames:
        check_size(frame.width, frame.height)
        image = frame.to_image()
        yield image.rotate(frame.rotation, expand=True) if frame.rotation else image


def pack_frames(frames: Frames) -> bytes:
    """Pack frames into bytes, in the .npy format, for ``read_frames``."""
    file = io.BytesIO()
    np.save(file, frames, allow_pickle=False)
    return file.getvalue()
