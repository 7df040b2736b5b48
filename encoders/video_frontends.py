"""Frontends of the video encoder that are trained from scratch."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.real_positions import real_positions
from encoders.base import Frontend, SourceBatch
from encoders.image import SmallResNet, standardize


class FrameCNN(Frontend):
    """Any image frontend, applied to each frame separately. Padding is not computed.

    A frame's state is the mean of its regions, as usual for networks trained on photographs; or, with ``num_regions``,
    the concatenation of all its regions, which keeps the layout of the frame.
    """

    def __init__(self, frontend: Frontend, *, num_regions: int | None = None):
        """``num_regions``: regions that ``frontend`` makes of a frame, if they are to be concatenated."""
        super().__init__()
        self.frontend = frontend
        self.num_regions = num_regions
        self.dim = frontend.dim * (num_regions or 1)
        self.activation = frontend.activation

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch frames dim"], Bool[Tensor, "batch frames"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 height width"]."""
        real = real_positions(source.mask, None if source.lengths is None else sum(source.lengths))
        images = source.values.flatten(0, 1)[real]  # (real frames, 3, height, width)
        regions, _ = self.frontend(SourceBatch(images, source.mask.new_ones(len(images), 1)))
        states = regions.flatten(1) if self.num_regions else regions.mean(dim=1)  # (real frames, dim)
        return scatter_to_padded(states, real, source.mask), source.mask


class TwoStream(Frontend):
    """Appearance and motion, by a network each (Simonyan & Zisserman 2014).

    Each window of ``window_frames`` frames becomes one state. The spatial network gets the window's first frame; the
    temporal network gets the changes of brightness from each frame to the next, stacked as channels, in place of the
    paper's optical flow (as in Wang et al. 2016). The features of both networks are concatenated for each region. The
    frame is standardized. The changes are not, so that a video without motion stays without it.
    """

    activation = nn.SiLU

    def __init__(self, spatial: SmallResNet, temporal: SmallResNet, *, num_regions: int, window_frames: int):
        """Build a two-stream frontend.

        Args:
            spatial: Network for images with 3 channels.
            temporal: Network for images with ``window_frames - 1`` channels.
            num_regions: Regions that both networks make of an image.
            window_frames: Frames of a window.
        """
        super().__init__()
        self.spatial = spatial
        self.temporal = temporal
        self.num_regions = num_regions
        self.window_frames = window_frames
        self.dim = (spatial.dim + temporal.dim) * num_regions

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch windows dim"], Bool[Tensor, "batch windows"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 height width"]."""
        num_missing = -source.mask.size(1) % self.window_frames
        is_real = functional.pad(source.mask, (0, num_missing)).unflatten(1, (-1, self.window_frames))
        frames = functional.pad(source.values, (*[0] * 6, 0, num_missing)).unflatten(1, (-1, self.window_frames))
        mask = is_real[:, :, 0]
        num_windows = (
            None if source.lengths is None else sum(-(-length // self.window_frames) for length in source.lengths)
        )
        real = real_positions(mask, num_windows)
        # Of the real windows: (real, window), with (3, height, width) each.
        is_real, frames = is_real.flatten(0, 1)[real], frames.flatten(0, 1)[real].float()
        brightness = frames.mean(dim=2)
        changes = (brightness[:, 1:] - brightness[:, :-1]) / 255 * is_real[:, 1:, None, None]
        grids = [self.spatial.forward_features(standardize(frames[:, 0])), self.temporal.forward_features(changes)]
        states = torch.cat(grids, dim=1).flatten(2).transpose(1, 2)  # (real windows, regions, features)
        return scatter_to_padded(states.flatten(1), real, mask), mask

    def output_lengths(self, num_frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return (num_frames + self.window_frames - 1) // self.window_frames


def scatter_to_padded(
    states: Float[Tensor, "real dim"], real: Int[Tensor, " real"], mask: Bool[Tensor, "batch length"]
) -> Float[Tensor, "batch length dim"]:
    """Put the states of the real positions into a padded batch, with zeros elsewhere."""
    padded = states.new_zeros(mask.numel(), states.size(1)).index_put((real,), states)
    return padded.unflatten(0, mask.shape)


class Conv3dFrontend(Frontend):
    """3-D convolutions over time and space, for information in motion, as of lips (Assael et al. 2016).

    Static content is removed first: each pixel is centered on its mean over the video, as in cepstral mean
    normalization, and scaled by the standard deviation of all of the video's centered pixels. Each layer covers three
    frames and halves the frame's sides, never time. As published, nothing is normalized between the layers:
    normalization would amplify frames with hardly any motion to the level of all others.
    """

    def __init__(self, channels: Sequence[int], size: tuple[int, int]):
        """Build a frontend of 3-D convolutions.

        Args:
            channels: Channels of each layer.
            size: Height and width of the frames in pixels.

        Raises:
            ValueError: The sides of ``size`` can't be halved by every layer.
        """
        super().__init__()
        stride = 2 ** len(channels)
        if any(side % stride for side in size):
            raise ValueError(
                f"size is {size[0]} × {size[1]} with {len(channels)} channels; allowed are multiples of {stride}"
            )
        kernel_sizes = [5] + [3] * len(channels)
        self.layers = nn.ModuleList(
            nn.Conv3d(before, after, (3, kernel, kernel), stride=(1, 2, 2), padding=(1, kernel // 2, kernel // 2))
            for (before, after), kernel in zip(pairwise((3, *channels)), kernel_sizes, strict=False)
        )
        self.num_regions = (size[0] // stride) * (size[1] // stride)
        self.dim = channels[-1] * self.num_regions

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch frames dim"], Bool[Tensor, "batch frames"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 height width"]."""
        real = source.mask[:, None, :, None, None]
        pixels = source.values.float().transpose(1, 2)  # (batch, 3, frames, height, width)
        length = source.mask.sum(dim=1)[:, None, None, None, None]
        centered = (pixels - (pixels * real).sum(dim=2, keepdim=True) / length) * real
        variance = centered.square().mean(dim=(1, 3, 4), keepdim=True).sum(dim=2, keepdim=True) / length
        states = centered / variance.sqrt().clamp(
            min=1
        )  # at least one of 256 levels, for videos with hardly any motion
        states = states.contiguous(memory_format=torch.channels_last_3d)
        for layer in self.layers:
            states = functional.relu(layer(states * real))
        regions = states.permute(0, 2, 3, 4, 1).flatten(2)  # the channels of a region are adjacent
        return regions * source.mask[..., None], source.mask
