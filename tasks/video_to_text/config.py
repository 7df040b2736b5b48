"""Settings of video to text: frames, their augmentation, the encoder."""

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from attention.validation import at_least, check_settings
from encoders.config import NUM_GROUPS, FrameAggregation, RecurrentEncoderConfig, are_valid_channels
from tasks.common.captioning_config import (
    CaptioningConfig,
    ImageAugmentConfig,
    VisionEncoderConfig,
    VisionSequenceConfig,
)
from tasks.common.data.limits import MAX_SIDE


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    """Settings of the frames that are read from a video."""

    num_frames: int = 16
    """Frames selected from a video, equally spaced in time; all frames of shorter videos (0: see ``fps``)."""
    fps: float = 0.0
    """Frames selected per second, with num_frames 0 (0: all)."""
    max_frames: int = 400
    """Maximum number of frames; of longer videos so many are selected, equally spaced."""
    crop: tuple[int, ...] = ()
    """Part of the upright frame to read, in pixels: top, bottom, left, right (none: all of it)."""
    cache_frames: bool = False
    """Cache the selected frames on disk, so that no video is decoded twice; for small frames and many epochs."""

    def __post_init__(self):
        allowed = at_least(0, self, "num_frames", "fps") | at_least(1, self, "max_frames")
        top, bottom, left, right = self.crop if len(self.crop) == 4 else (0, 1, 0, 1)
        is_valid_crop = len(self.crop) in (0, 4) and 0 <= top < bottom and 0 <= left < right
        allowed["crop"] = is_valid_crop, "nothing, or top < bottom and left < right"
        check_settings("frames", self, allowed)

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused: dict[str, str] = {}
        if self.num_frames:
            unused["fps"] = f"frames.num_frames is {self.num_frames}, not 0"
            if self.num_frames <= self.max_frames:
                unused["max_frames"] = f"frames.num_frames is {self.num_frames}"
        return unused


@dataclass(frozen=True, kw_only=True)
class VideoAugmentConfig(ImageAugmentConfig):
    """Random changes of training videos: the same for all frames of a video."""

    stutter: float = 0.0
    """Share of frames that are dropped, and of frames that are repeated (Assael et al. 2016)."""

    def __post_init__(self):
        super().__post_init__()
        check_settings("augment", self, {"stutter": (0 <= self.stutter <= 0.5, "0 to 0.5")})


@dataclass(frozen=True)
class VideoEncoderConfig(VisionEncoderConfig):
    """Settings of the video encoder: a pretrained network or one from scratch, and what follows it.

    ``pretrained`` may be an image model, which is applied to each frame, or a video model: a VideoMAE, or
    torchvision:r3d_18 for instance.
    """

    sequence: Annotated[VisionSequenceConfig, tyro.conf.arg(name="")] = field(default_factory=RecurrentEncoderConfig)
    size: tuple[int, ...] = field(default=(), kw_only=True)
    """Size of frames in pixels: one number, or height and width (none: that of the pretrained model's training; 64
    from scratch)."""
    frontend: Literal["frames", "two_stream", "spatiotemporal"] = field(default="frames", kw_only=True)
    """Network from scratch: a residual network on each frame; two networks, one on a frame and one on the changes
    after it (Simonyan & Zisserman 2014); or 3-D convolutions."""
    temporal_channels: tuple[int, ...] = field(default=(16, 32, 64), kw_only=True)
    """Channels of the second of two streams; as many numbers as in ``channels``."""
    window_frames: int = field(default=8, kw_only=True)
    """Frames of which two streams make one state."""
    frame_aggregation: FrameAggregation = field(default="frames", kw_only=True)
    """States that the decoder attends to: one for each frame, after the sequence encoder if there is one (frames); the
    mean of all frames; or one for each region of each frame (regions), for networks from scratch. mean and regions need
    encoder.kind none."""

    def allowed_settings(self) -> dict[str, tuple[bool, str]]:
        has_valid_size = len(self.size) <= 2 and all(0 < side <= MAX_SIDE for side in self.size)
        allowed = super().allowed_settings()
        allowed["size"] = has_valid_size, f"nothing, one number from 1 to {MAX_SIDE}, or two"
        if self.pretrained is not None and has_valid_size:
            allowed["size"] = len(set(self.size)) <= 1, "nothing or one number with encoder.pretrained"
        elif self.frontend == "two_stream":
            are_valid = are_valid_channels(self.temporal_channels) and len(self.temporal_channels) == len(self.channels)
            allowed["temporal_channels"] = are_valid, f"as many multiples of {NUM_GROUPS} as there are channels"
            allowed |= at_least(2, self, "window_frames")
        return allowed

    def unused_settings(self) -> dict[str, str]:
        unused = super().unused_settings()
        if self.pretrained is not None:
            unused |= dict.fromkeys(("frontend", "temporal_channels", "window_frames"), "encoder.pretrained is set")
        elif self.frontend != "two_stream":
            reason = f"encoder.frontend is {self.frontend}"
            unused |= dict.fromkeys(("temporal_channels", "window_frames"), reason)
        return unused


@dataclass(frozen=True, kw_only=True)
class VideoConfig(CaptioningConfig):
    """Settings of video to text."""

    num_scenes: int = 4000
    """Training videos of the toy world, where data is not set."""
    metric_set: Literal["captions", "words"] = "captions"
    """captions: COCO's metrics, for sentences about a video; words: word and character error rates, for lip reading."""
    frames: FrameConfig = field(default_factory=FrameConfig)
    augment: VideoAugmentConfig = field(default_factory=VideoAugmentConfig)
    encoder: VideoEncoderConfig = field(default_factory=VideoEncoderConfig)

    def pixel_settings(self) -> list[str]:
        frames = [f"frames.{each.name}" for each in dataclasses.fields(self.frames)]
        encoder = [f"encoder.{name}" for name in ("size", "frontend", "temporal_channels", "window_frames")]
        return [*super().pixel_settings(), *frames, *encoder]
