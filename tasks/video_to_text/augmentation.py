"""Random changes of training videos."""

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from tasks.common.data.images import color_jitter, random_crop_box
from tasks.video_to_text.config import VideoAugmentConfig


def augment_frames(frames: UInt8[Tensor, "frames 3 height width"], config: VideoAugmentConfig) -> Tensor:
    """Drop and repeat frames at random, and crop, mirror and recolor all of them in the same random way."""
    if config.stutter:
        is_repeated, is_dropped = (torch.rand(2, len(frames)) < config.stutter).long()
        counts = 1 + is_repeated - is_dropped
        counts[0] = max(1, int(counts[0]))  # at least one frame must be left
        frames = frames.repeat_interleave(counts, dim=0)
    if config.crop:
        height, width = frames.shape[2:]
        left, top, right, bottom = (round(edge) for edge in random_crop_box(width, height, config.crop))
        part = frames[:, :, top : max(bottom, top + 1), left : max(right, left + 1)].float()
        resized = functional.interpolate(part, size=(height, width), mode="bilinear", antialias=True)
        frames = resized.round().clamp(0, 255).to(torch.uint8)
    return color_jitter(frames, config)
