"""The image encoder: an image in, its regions as states out."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import Dropout
from attention.memory import Memory
from encoders.base import Encoder, Frontend, SequenceEncoder, SourceBatch
from encoders.config import NUM_GROUPS
from encoders.pooling import MeanPooling

STATE_STD = 0.25  # of normalized states at first, about that of a recurrent layer's states


class SmallResNet(Frontend):
    """A residual network (He et al. 2016) for uint8 pixels, small enough to train from scratch.

    The stem and each block halve the image's sides: with a side of 64 pixels and three ``channels`` there are 8 x 8
    regions. Group norm (Wu & He 2018) makes an image's states independent of the other images in the batch. The
    activation is SiLU (Elfwing et al. 2018): what is easy is learned first, and ReLU would by then have turned off
    units that are needed for what is hard.
    """

    activation = nn.SiLU

    def __init__(self, channels: Sequence[int], *, in_channels: int = 3):
        """``channels``: of the stem and of each block, see ``are_valid_channels``. ``in_channels``: of the images."""
        super().__init__()
        stem_channels, *_ = channels
        self.stem = nn.Conv2d(in_channels, stem_channels, kernel_size=5, stride=2, padding=2)
        self.norm = nn.GroupNorm(NUM_GROUPS, stem_channels)
        self.blocks = nn.Sequential(*(ResidualBlock(*in_out) for in_out in pairwise(channels)))
        self.dim = channels[-1]

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch regions dim"], Bool[Tensor, "batch regions"]]:
        """Return the regions, row by row.

        ``source.values``: UInt8[Tensor, "batch channels height width"], with one position per image in the mask.
        """
        states = self.forward_features(standardize(source.values.float())).flatten(2).transpose(1, 2)
        return states, source.mask.expand(-1, states.size(1))

    def forward_features(
        self, pixels: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch dim rows columns"]:
        """Return the grid of regions. ``pixels``: at a scale of about one, which is up to the caller."""
        pixels = pixels.to(memory_format=torch.channels_last)
        return self.blocks(functional.silu(self.norm(self.stem(pixels))))


class ResidualBlock(nn.Module):
    """Two convolutions, the first with stride 2, and a projection shortcut."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=2, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(NUM_GROUPS, out_channels) for _ in range(2))

    def forward(
        self, grid: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels rows columns"]:
        hidden = functional.silu(self.norms[0](self.conv1(grid)))
        return functional.silu(self.norms[1](self.conv2(hidden)) + self.shortcut(grid))


def standardize(pixels: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
    """Bring pixels between 0 and 255 to mean 0 and standard deviation 1 over each image.

    A dark or bright image would otherwise reach the first layer mostly as a constant, and what is in it as little.
    """
    centered = pixels - pixels.mean(dim=(1, 2, 3), keepdim=True)
    std = centered.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return centered / std.clamp(min=1)  # at least one of 256 levels, for an image that shows nothing


class ImageEncoder(Encoder):
    """A frontend whose states are projected to ``dim`` features: the annotation vectors of Xu et al. 2015.

    A learned embedding of its position is added to each region, because neither attention nor a mean over regions
    depends on their order. An optional sequence encoder relates the regions to each other. The memory's segments are
    the rows of a square image.
    """

    def __init__(
        self,
        frontend: Frontend,
        dim: int,
        *,
        num_regions: int | None,
        dropout: float = 0.0,
        sequence_encoder: SequenceEncoder | None = None,
        pooling: nn.Module | None = None,
        normalize: bool = False,
    ):
        """Build an image encoder.

        Args:
            frontend: Makes regions of pixels, or of region features.
            dim: Features of a projected region.
            num_regions: Regions of every image; None if their number varies and they have no order, as those of an
                object detector. They then get no positions.
            dropout: Dropout rate of regions, states and summary.
            sequence_encoder: Encoder of the projected regions. Its summary is then the memory's.
            pooling: Computes the summary without a sequence encoder; the mean by default.
            normalize: See ``build_activation``.
        """
        super().__init__()
        self.frontend = frontend
        self.projection = nn.Sequential(nn.LayerNorm(frontend.dim), Dropout(dropout), nn.Linear(frontend.dim, dim))
        self.activation = build_activation(frontend, dim, normalize)
        self.position_embedding = None
        if num_regions is not None:
            self.position_embedding = nn.Parameter(nn.init.normal_(torch.empty(num_regions, dim), std=0.02))
        self.dropout = Dropout(dropout)
        self.sequence_encoder = sequence_encoder
        self.pooling = pooling or MeanPooling()
        side = math.isqrt(num_regions or 0)
        self.num_columns = side if num_regions and side**2 == num_regions else None
        self.dim = dim if sequence_encoder is None else sequence_encoder.dim

    def forward(self, source: SourceBatch) -> Memory:
        """Encode images; ``source.values``: what the frontend takes, or its precomputed states."""
        states, mask = (source.values, source.mask) if source.precomputed else self.frontend(source)
        states = self.projection(states)
        states = self.activation(states if self.position_embedding is None else states + self.position_embedding)
        if self.sequence_encoder is None:
            memory = Memory(states, mask, self.pooling(states, mask))
        else:
            memory = self.sequence_encoder(self.dropout(states), mask)
        rows = None
        if self.num_columns is not None:
            rows = (torch.arange(states.size(1), device=mask.device) // self.num_columns).expand_as(mask)
        return Memory(self.dropout(memory.states), mask, self.dropout(memory.summary), segment_ids=rows)


def build_activation(frontend: Frontend, dim: int, normalize: bool) -> nn.Module:
    """Build what follows the projection of a frontend's states to ``dim`` features.

    Without ``normalize`` this is the frontend's own activation. Projected features of a pretrained network would have a
    large positive mean after it, the same for all inputs, which hides what differs: the decoder learns to ignore its
    contexts. With ``normalize`` each state has mean 0 and, at first, the standard deviation STATE_STD.
    """
    if not normalize:
        return frontend.activation()
    norm = nn.LayerNorm(dim)
    nn.init.constant_(norm.weight, STATE_STD)
    return norm
