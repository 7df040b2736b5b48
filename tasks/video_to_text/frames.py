"""Frames of a video, whatever its container and codec: some of them, and no more decoded than these need."""

import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from attention.validation import at_least, check_settings
from tasks.common.data.captioned_media import MediaError
from tasks.common.data.images import MIN_SIDE, ImageAugmentConfig, color_jitter, open_image, random_crop_box

PACKED = b"\x93NUMPY"  # how the bytes of frames begin that are kept as they are
USUAL_RATE = 25.0  # frames a second, where a video does not say when its frames are shown
LARGE = 1280 * 720  # pixels from which on a frame is worth several threads

Pixels = UInt8[np.ndarray, "frames height width 3"]


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    """Which frames of a video are read, and which part of them."""

    count: int = 16
    """Frames taken of a video, at equal distances in time; all where it has fewer (0: see rate)."""
    rate: float = 0.0
    """Frames taken a second where count is 0 (0: all)."""
    most: int = 400
    """Of more frames than that, so many are taken at equal distances after all."""
    crop: tuple[int, ...] = ()
    """Part of the upright picture that is read, in pixels: top, bottom, left, right (none: all of it)."""
    keep: bool = False
    """Keep what was read on disk, so that nothing is decoded twice: for small pictures that are read many times."""

    def __post_init__(self):
        allowed = at_least(0, self, "count", "rate") | at_least(1, self, "most")
        top, bottom, left, right = self.crop if len(self.crop) == 4 else (0, 1, 0, 1)
        right_crop = len(self.crop) in (0, 4) and 0 <= top < bottom and 0 <= left < right
        check_settings("frames", self, allowed | {"crop": (right_crop, "nothing, or top < bottom and left < right")})

    def choose(self, times: Float[np.ndarray, " all"]) -> Int[np.ndarray, " chosen"]:
        """Which of the frames that begin at ``times`` (seconds, rising) are read.

        The wanted moments are the middles of equal slices of the video, and a moment is seen in the frame that is on
        the screen then: so frames that are shown longer are not taken less often.
        """
        total = len(times)
        shown = (times[-1] - times[0]) / (total - 1) if total > 1 else 1 / USUAL_RATE  # the last one, presumably
        seconds = times[-1] - times[0] + shown
        by_rate = max(1, round(seconds * self.rate)) if self.rate else total
        number = min(self.count or by_rate, self.most)
        if number >= total:
            return np.arange(total)
        moments = times[0] + (np.arange(number) + 0.5) * seconds / number
        return np.unique(np.searchsorted(times, moments, side="right") - 1)


@dataclass(frozen=True, kw_only=True)
class VideoAugmentConfig(ImageAugmentConfig):
    """What training changes in its videos: all frames of one in the same way."""

    stutter: float = 0.0
    """Share of frames that are left out, and of frames that are shown twice (Assael et al. 2016)."""

    def __post_init__(self):
        super().__post_init__()
        check_settings("augment", self, {"stutter": (0 <= self.stutter <= 0.5, "0 to 0.5")})


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────


def read_frames(source: str | bytes, config: FrameConfig, size: tuple[int, int] | None) -> Pixels:
    """The frames that ``config`` chooses, upright, each brought to ``size`` (height, width; None: left as it is).

    ``source`` is a video file, what such a file would hold, a folder of pictures in the order of their names, or
    frames packed by ``pack_frames``, which are the chosen ones already. Raises MediaError.
    """
    if isinstance(source, bytes) and source.startswith(PACKED):
        return brought_to(np.load(io.BytesIO(source), allow_pickle=False), size)
    try:
        if isinstance(source, str) and Path(source).is_dir():
            pictures = pictures_of(Path(source), config)
        else:
            pictures = pictures_in(source, config)
        frames = [np.asarray(crop_resize(picture, config.crop, size)) for picture in pictures]
    except MediaError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"is no video that can be read ({reason})") from error
    if not frames:
        raise MediaError("has no frame that can be read")
    return np.stack(frames)


def brought_to(frames: Pixels, size: tuple[int, int] | None) -> UInt8[np.ndarray, "frames rows columns 3"]:
    if size is None or frames.shape[1:3] == size:
        return frames
    return np.stack([np.asarray(crop_resize(Image.fromarray(frame), (), size)) for frame in frames])


def crop_resize(picture: Image.Image, crop: tuple[int, ...], size: tuple[int, int] | None) -> Image.Image:
    """Raises MediaError where nothing is left of a picture."""
    width, height = picture.size
    top, bottom, left, right = crop or (0, height, 0, width)
    if min(bottom, height) - top < MIN_SIDE or min(right, width) - left < MIN_SIDE:
        wanted = f"rows {top}:{bottom}, columns {left}:{right} of it" if crop else f"{MIN_SIDE} × {MIN_SIDE}"
        raise MediaError(f"has frames of {width} × {height} pixels; {wanted} are needed")
    box = (left, top, min(right, width), min(bottom, height))
    return picture.crop(box) if size is None else picture.resize((size[1], size[0]), Image.Resampling.BICUBIC, box)


def pictures_of(folder: Path, config: FrameConfig) -> Iterator[Image.Image]:
    """A folder of frames: frame2.jpg comes before frame10.jpg."""
    files = sorted((file for file in folder.iterdir() if file.is_file()), key=lambda file: natural(file.name))
    if not files:
        raise MediaError("is a folder without files")
    for index in config.choose(np.arange(len(files)) / USUAL_RATE):
        try:
            yield open_image(str(files[index]))
        except MediaError as error:
            raise MediaError(f"holds {files[index].name}, which {error}") from error


def natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def pictures_in(source: str | bytes, config: FrameConfig) -> Iterator[Image.Image]:
    """The chosen frames of a video file, in their order, turned as the camera was held."""
    if isinstance(source, str) and not Path(source).exists():
        raise MediaError("does not exist")
    if (len(source) if isinstance(source, bytes) else Path(source).stat().st_size) == 0:
        raise MediaError("is empty (0 bytes)")
    moments, starts, base = frame_timestamps(source)
    with opened(source) as (container, stream):
        if moments is not None:
            chosen = config.choose(np.array(moments) * base)
            yield from upright(decode_at(container, stream, moments, starts, chosen.tolist()))
            return
        total = sum(1 for _ in decoded(container, stream))
    if total:  # decoded once more, so that no more than one frame is in memory
        chosen = set(config.choose(np.arange(total) / USUAL_RATE).tolist())
        with opened(source) as (container, stream):
            yield from upright(f for number, f in enumerate(decoded(container, stream)) if number in chosen)


@contextmanager
def opened(source: str | bytes) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video file with the first of its streams of pictures; a song's cover is none."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with av.open(file, mode="r", metadata_errors="ignore") as container:
        stream = next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)
        if stream is None:
            raise MediaError("has no pictures" + (", only sound" if container.streams.audio else ""))
        stream.thread_type = "AUTO" if stream.width * stream.height >= LARGE else "NONE"
        yield container, stream


def frame_timestamps(source: str | bytes) -> tuple[list[int] | None, list[int], float]:
    """When each frame is shown, and the keyframes among them, from which decoding can start: nothing is decoded.

    Rising, in units of so many seconds as the third value says. None where the file does not say it of every frame.
    """
    with opened(source) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        moments = [packet.pts for packet in packets if packet.pts is not None]
        starts = [packet.pts for packet in packets if packet.pts is not None and packet.is_keyframe]
        known = bool(packets) and len(set(moments)) == len(packets)
        return sorted(moments) if known else None, sorted(starts), float(stream.time_base or 1)


def decode_at(
    container: InputContainer, stream: VideoStream, moments: list[int], starts: list[int], chosen: Sequence[int]
) -> Iterator[av.VideoFrame]:
    """The frames at ``chosen`` places of ``moments``. Where a keyframe lies between one and the next, what is before it
    is skipped undecoded. What can't be decoded any more is left out."""
    frames = decoded(container, stream)
    place, last = -1, None  # of the frame decoded last, and when it is shown
    for wanted in chosen:
        key = bisect_right(starts, moments[wanted]) - 1
        if key >= 0 and bisect_left(moments, starts[key]) > place + 1:
            container.seek(starts[key], stream=stream)
            frames = decoded(container, stream)
        elif last is not None and last >= moments[wanted]:  # a place before had no frame of its own, and took this one
            continue
        frame = next((late for late in frames if late.pts is None or late.pts >= moments[wanted]), None)
        if frame is None:
            return
        place, last = wanted, frame.pts
        yield frame


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Frames up to the end, or up to where the file is broken, unless that is at its very start."""
    count = 0
    try:
        for frame in container.decode(stream):
            yield frame
            count += 1
    except FFmpegError:
        if not count:
            raise


def upright(frames: Iterable[av.VideoFrame]) -> Iterator[Image.Image]:
    for frame in frames:
        picture = frame.to_image()
        yield picture.rotate(frame.rotation, expand=True) if frame.rotation else picture


def pack_frames(frames: Pixels) -> bytes:
    file = io.BytesIO()
    np.save(file, frames, allow_pickle=False)
    return file.getvalue()


# ── Between file and batch ──────────────────────────────────────────────────────────────────────────────────


def augmented(frames: UInt8[Tensor, "frames 3 height width"], config: VideoAugmentConfig) -> Tensor:
    """Another view of the same: the cut, the mirror and the light are those of the whole video."""
    if config.stutter:
        twice, never = (torch.rand(2, len(frames)) < config.stutter).long()
        times = 1 + twice - never
        times[0] = max(1, int(times[0]))  # something must be left
        frames = frames.repeat_interleave(times, dim=0)
    if config.crop:
        height, width = frames.shape[2:]
        left, top, right, bottom = (round(edge) for edge in random_crop_box(width, height, config.crop))
        part = frames[:, :, top : max(bottom, top + 1), left : max(right, left + 1)].float()
        resized = functional.interpolate(part, size=(height, width), mode="bilinear", antialias=True)
        frames = resized.round().clamp(0, 255).to(torch.uint8)
    return color_jitter(frames, config)
