"""The image encoder: a picture in, its regions as states out."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from encoders.base import Encoder, Frontend, Memory, SequenceEncoder, SourceBatch
from encoders.pooling import MeanPooling

NUM_GROUPS = 8  # of channels that are normalised together


def are_valid_channels(channels: Sequence[int]) -> bool:
    """Whether these can be the layers of a :class:`SmallResNet`: one or more multiples of GROUPS."""
    return len(channels) > 0 and all(number > 0 and number % NUM_GROUPS == 0 for number in channels)


class SmallResNet(Frontend):
    """Residual blocks (He et al. 2016), small enough to be trained from scratch. Reads uint8 pixels.

    The stem and each block halve the picture's sides, so a side of 64 pixels and three numbers of ``channels`` give
    8 x 8 regions. Groups of channels are normalised (Wu & He 2018), not batches: a picture gets the same states
    in whatever batch it is.
    """

    def __init__(self, channels: Sequence[int], *, colors: int = 3):
        """``channels``: of the stem and of each block, ``are_valid_channels``. ``colors``: numbers that a pixel has."""
        super().__init__()
        stem, *_ = channels
        self.stem = nn.Conv2d(colors, stem, kernel_size=5, stride=2, padding=2)
        self.norm = nn.GroupNorm(NUM_GROUPS, stem)
        self.blocks = nn.Sequential(*(Residual(before, after) for before, after in pairwise(channels)))
        self.dim = channels[-1]

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: UInt8[Tensor, "batch colours height width"], with one place a picture in the mask."""
        states = self.forward_features(source.values.float() / 127.5 - 1).flatten(2).transpose(1, 2)
        return states, source.mask.expand(-1, states.size(1))

    def forward_features(
        self, pixels: Float[Tensor, "batch colours height width"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """The regions in their grid; pixels lie between -1 and 1."""
        pixels = pixels.to(memory_format=torch.channels_last)
        return self.blocks(functional.relu(self.norm(self.stem(pixels))))


class Residual(nn.Module):
    """Two convolutions, the first with a stride of two, beside a projection of what went in."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(before, after, kernel_size=1, stride=2, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(NUM_GROUPS, after) for _ in range(2))

    def forward(self, grid: Float[Tensor, "batch before height width"]) -> Float[Tensor, "batch after rows columns"]:
        inner = functional.relu(self.norms[0](self.first(grid)))
        return functional.relu(self.norms[1](self.second(inner)) + self.shortcut(grid))


class ImageEncoder(Encoder):
    """A front end, and its states brought to ``dim`` features: the annotation vectors of Xu et al. 2015.

    ``regions``: how many states every picture has (None: any number, in no order). Each then gets a learned position
    added, since neither attention nor a mean over regions would know what is above and what is left. A ``sequence_encoder`` then
    lets the regions know of each other, where one is given. The summary is the reader's, or by ``pooling`` of all
    states, their mean unless given. The memory's segments are the rows of a square picture.
    """

    def __init__(
        self,
        frontend: Frontend,
        dim: int,
        *,
        regions: int | None,
        dropout: float = 0.0,
        sequence_encoder: SequenceEncoder | None = None,
        pooling: nn.Module | None = None,
    ):
        """``sequence_encoder``: of states of ``dim`` features."""
        super().__init__()
        self.frontend = frontend
        self.norm = nn.LayerNorm(frontend.dim)
        self.project = nn.Linear(frontend.dim, dim)
        self.positions = None if regions is None else nn.Parameter(0.02 * torch.randn(regions, dim))
        self.dropout = nn.Dropout(dropout)
        self.sequence_encoder = sequence_encoder
        self.pooling = pooling or MeanPooling()
        self.columns = math.isqrt(regions) if regions and math.isqrt(regions) ** 2 == regions else None
        self.dim = dim if sequence_encoder is None else sequence_encoder.dim

    def forward(self, source: SourceBatch) -> Memory:
        """``source.values``: what the front end reads, or its states if ``precomputed``."""
        states, mask = (source.values, source.mask) if source.precomputed else self.frontend(source)
        states = self.project(self.dropout(self.norm(states)))
        states = functional.relu(states if self.positions is None else states + self.positions)
        if self.sequence_encoder is None:
            memory = Memory(states, mask, self.pooling(states, mask))
        else:
            memory = self.sequence_encoder(self.dropout(states), mask)
        rows = None
        if self.columns is not None:
            rows = (torch.arange(states.size(1), device=mask.device) // self.columns).expand_as(mask)
        return Memory(self.dropout(memory.states), mask, self.dropout(memory.summary), rows)
