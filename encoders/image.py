"""The image encoder: a picture in, its regions as states out."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from encoders.base import Encoder, FrontEnd, Memory, Reader, Source
from encoders.pooling import Mean

GROUPS = 8  # of channels that are normalised together


def groupable(channels: Sequence[int]) -> bool:
    """Whether these can be the layers of a :class:`ConvNet`: one or more multiples of GROUPS."""
    return len(channels) > 0 and all(number > 0 and number % GROUPS == 0 for number in channels)


class ConvNet(FrontEnd):
    """Residual blocks (He et al. 2016), small enough to be trained from scratch. Reads uint8 pixels.

    The stem and each block halve the picture's sides, so a side of 64 pixels and three numbers of ``channels`` give
    8 x 8 regions. Groups of channels are normalised (Wu & He 2018), not batches: a picture gets the same states
    in whatever batch it is.
    """

    def __init__(self, channels: Sequence[int], *, colours: int = 3):
        """``channels``: of the stem and of each block, ``groupable``. ``colours``: numbers that a pixel has."""
        super().__init__()
        stem, *_ = channels
        self.stem = nn.Conv2d(colours, stem, kernel_size=5, stride=2, padding=2)
        self.norm = nn.GroupNorm(GROUPS, stem)
        self.blocks = nn.Sequential(*(Residual(before, after) for before, after in pairwise(channels)))
        self.dim = channels[-1]

    def forward(self, source: Source) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: UInt8[Tensor, "batch colours height width"], with one place a picture in the mask."""
        states = self.look(source.values.float() / 127.5 - 1).flatten(2).transpose(1, 2)
        return states, source.mask.expand(-1, states.size(1))

    def look(self, pixels: Float[Tensor, "batch colours height width"]) -> Float[Tensor, "batch features rows columns"]:
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
        self.norms = nn.ModuleList(nn.GroupNorm(GROUPS, after) for _ in range(2))

    def forward(self, grid: Float[Tensor, "batch before height width"]) -> Float[Tensor, "batch after rows columns"]:
        inner = functional.relu(self.norms[0](self.first(grid)))
        return functional.relu(self.norms[1](self.second(inner)) + self.shortcut(grid))


class ImageEncoder(Encoder):
    """A front end, and its states brought to ``dim`` features: the annotation vectors of Xu et al. 2015.

    ``regions``: how many states every picture has (None: any number, in no order). Each then gets a learned position
    added, since neither attention nor a mean over regions would know what is above and what is left. A ``reader`` then
    lets the regions know of each other, where one is given. The summary is the reader's, or by ``pooling`` of all
    states, their mean unless given. The memory's segments are the rows of a square picture.
    """

    def __init__(
        self,
        front: FrontEnd,
        dim: int,
        *,
        regions: int | None,
        dropout: float = 0.0,
        reader: Reader | None = None,
        pooling: nn.Module | None = None,
    ):
        """``reader``: of states of ``dim`` features."""
        super().__init__()
        self.front = front
        self.norm = nn.LayerNorm(front.dim)
        self.project = nn.Linear(front.dim, dim)
        self.positions = None if regions is None else nn.Parameter(0.02 * torch.randn(regions, dim))
        self.dropout = nn.Dropout(dropout)
        self.reader = reader
        self.pooling = pooling or Mean()
        self.columns = math.isqrt(regions) if regions and math.isqrt(regions) ** 2 == regions else None
        self.dim = dim if reader is None else reader.dim

    def forward(self, source: Source) -> Memory:
        """``source.values``: what the front end reads, or its states if ``encoded``."""
        states, mask = (source.values, source.mask) if source.encoded else self.front(source)
        states = self.project(self.dropout(self.norm(states)))
        states = functional.relu(states if self.positions is None else states + self.positions)
        if self.reader is None:
            memory = Memory(states, mask, self.pooling(states, mask))
        else:
            memory = self.reader(self.dropout(states), mask)
        rows = None
        if self.columns is not None:
            rows = (torch.arange(states.size(1), device=mask.device) // self.columns).expand_as(mask)
        return Memory(self.dropout(memory.states), mask, self.dropout(memory.summary), rows)
