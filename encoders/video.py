"""The video encoder: frames in, a state for each of them out, or one for all."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from encoders.base import Encoder, Frontend, Memory, SequenceEncoder, SourceBatch
from encoders.image import SmallResNet
from encoders.pooling import MeanPooling

FrameAggregation = Literal["mean", "frames", "sequence", "regions"]


class FrameCNN(Frontend):
    """Any front end for pictures, on each frame by itself. Padding is never computed.

    A frame's state is the mean of its regions, as published for networks that were trained on photographs; or, where
    ``regions`` says how many there are, all of them side by side: then it is known what is where.
    """

    def __init__(self, frontend: Frontend, *, regions: int | None = None):
        super().__init__()
        self.frontend = frontend
        self.regions = regions
        self.dim = frontend.dim * (regions or 1)

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch frames dim"], Bool[Tensor, "batch frames"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 height width"]."""
        pictures = source.values[source.mask]  # (real frames, 3, height, width)
        regions, _ = self.frontend(SourceBatch(pictures, source.mask.new_ones(len(pictures), 1)))
        states = regions.flatten(1) if self.regions else regions.mean(dim=1)  # (real frames, dim)
        return scatter_to_padded(states, source.mask), source.mask


class TwoStream(Frontend):
    """What is there and how it moves, each seen by a network of its own (Simonyan & Zisserman 2014).

    Frames are taken ``window`` at a time, and become one state. One network sees the first of them; the other sees how
    the brightness changes from each to the next, all changes at once, which stand for the paper's optical flow (as in
    Wang et al. 2016). What both make of a region stands side by side.
    """

    def __init__(self, spatial: SmallResNet, temporal: SmallResNet, *, regions: int, window: int):
        """``spatial`` sees 3 colours, ``temporal`` ``window - 1``; both make ``regions`` of a picture."""
        super().__init__()
        self.spatial = spatial
        self.temporal = temporal
        self.regions = regions
        self.window = window
        self.dim = (spatial.dim + temporal.dim) * regions

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch windows dim"], Bool[Tensor, "batch windows"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 height width"]."""
        missing = -source.mask.size(1) % self.window
        seen = functional.pad(source.mask, (0, missing)).unflatten(1, (-1, self.window))
        frames = functional.pad(source.values, (*[0] * 6, 0, missing)).unflatten(1, (-1, self.window))
        mask = seen[:, :, 0]
        seen, frames = seen[mask], frames[mask].float()  # (real windows, window), with (3, height, width) each
        brightness = frames.mean(dim=2)
        changes = (brightness[:, 1:] - brightness[:, :-1]) / 255 * seen[:, 1:, None, None]
        grids = [self.spatial.forward_features(frames[:, 0] / 127.5 - 1), self.temporal.forward_features(changes)]
        states = torch.cat(grids, dim=1).flatten(2).transpose(1, 2)  # (real windows, regions, features)
        return scatter_to_padded(states.flatten(1), mask), mask

    def output_lengths(self, frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return (frames + self.window - 1) // self.window


def scatter_to_padded(
    states: Float[Tensor, "real dim"], mask: Bool[Tensor, "batch length"]
) -> Float[Tensor, "batch length dim"]:
    """What was computed of the real positions alone, at their places, with zeros between."""
    return states.new_zeros(*mask.shape, states.size(1)).masked_scatter(mask[..., None], states)


class Conv3dFrontend(Frontend):
    """3-D convolutions over time and space, for what is in the movement: lips (Assael et al. 2016).

    What does not move is taken away first: each pixel is measured from its mean over the video, as a cepstrum is, and
    in units of how far all pixels of the video go from theirs. Each layer then sees three frames and halves the sides
    of the picture, never time. Nothing is normalised between the layers, as published: it would make as much of a frame
    in which hardly anything moves as of any other.
    """

    def __init__(self, channels: Sequence[int], size: tuple[int, int]):
        """``size``: height and width of the frames, which each of ``channels`` halves. Raises ValueError for sides
        that can't be halved so often."""
        super().__init__()
        shrinkage = 2 ** len(channels)
        if any(side % shrinkage for side in size):
            raise ValueError(f"frames are {size[0]} × {size[1]}; allowed are multiples of {shrinkage}")
        sides = [5] + [3] * len(channels)
        self.layers = nn.ModuleList(
            nn.Conv3d(before, after, (3, side, side), stride=(1, 2, 2), padding=(1, side // 2, side // 2))
            for (before, after), side in zip(pairwise((3, *channels)), sides, strict=False)
        )
        self.regions = (size[0] // shrinkage) * (size[1] // shrinkage)
        self.dim = channels[-1] * self.regions

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch frames dim"], Bool[Tensor, "batch frames"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 height width"]."""
        real = source.mask[:, None, :, None, None]
        pixels = source.values.float().transpose(1, 2)  # (batch, 3, frames, height, width)
        length = source.mask.sum(dim=1)[:, None, None, None, None]
        changes = (pixels - (pixels * real).sum(dim=2, keepdim=True) / length) * real
        variance = changes.square().mean(dim=(1, 3, 4), keepdim=True).sum(dim=2, keepdim=True) / length
        states = changes / variance.sqrt().clamp(min=1)  # one of 256 steps, where hardly anything moves
        states = states.contiguous(memory_format=torch.channels_last_3d)
        for layer in self.layers:
            states = functional.relu(layer(states * real))
        regions = states.permute(0, 2, 3, 4, 1).flatten(2)  # the channels of a region stand together
        return regions * source.mask[..., None], source.mask


class VideoEncoder(Encoder):
    """A front end, its states brought to ``dim`` features, and what is made of their sequence.

    ``mean``: the mean of all frames is all there is (Venugopalan et al. 2015a). ``frames``: attention looks at the
    frames as they are. ``sequence``: at what a reader makes of them, which knows their order, as a recurrent network
    (after Yao et al. 2015). ``regions``: at the regions of all frames, each of which knows its place and its time; the
    memory's segments are the frames.
    """

    def __init__(
        self,
        frontend: Frontend,
        hidden_dim: int,
        *,
        frame_aggregation: FrameAggregation = "sequence",
        regions: int = 1,
        sequence_encoder: SequenceEncoder | None = None,
        dropout: float = 0.0,
        pooling: nn.Module | None = None,
    ):
        """``regions``: how many the front end puts side by side in a state, told apart where they are looked at.
        ``sequence_encoder``: of states of ``hidden_dim`` features, for a sequence. ``pooling``: makes the summary of the states
        otherwise, their mean unless given. Raises ValueError for a sequence without a reader."""
        if frame_aggregation == "sequence" and sequence_encoder is None:
            raise ValueError("a video that is read as a sequence needs a reader")
        super().__init__()
        self.frontend = frontend
        self.frame_aggregation = frame_aggregation
        self.regions = regions if frame_aggregation == "regions" else 1
        self.norm = nn.LayerNorm(frontend.dim // self.regions)
        self.project = nn.Linear(frontend.dim // self.regions, hidden_dim)
        if frame_aggregation == "regions":
            self.places = nn.Parameter(0.02 * torch.randn(regions, hidden_dim))
            self.time = nn.Linear(1, hidden_dim)
        self.dropout = nn.Dropout(dropout)
        self.sequence_encoder = sequence_encoder if frame_aggregation == "sequence" else None
        self.pooling = pooling or MeanPooling()
        self.dim = hidden_dim if self.sequence_encoder is None else self.sequence_encoder.dim

    def forward(self, source: SourceBatch) -> Memory:
        """``source.values``: what the front end reads, or its states if ``precomputed``."""
        states, mask = (source.values, source.mask) if source.precomputed else self.frontend(source)
        states = states.unflatten(2, (self.regions, -1)).flatten(1, 2)  # (batch, states * regions, features)
        mask = mask.repeat_interleave(self.regions, dim=1)
        states = self.project(self.dropout(self.norm(states)))
        if self.frame_aggregation == "regions":
            states = states + self.whereabouts(mask).to(states.dtype)
        states = functional.relu(states)
        if self.sequence_encoder is not None:
            memory = self.sequence_encoder(self.dropout(states), mask)
        else:
            summary = self.pooling(states, mask)
            memory = Memory(states, mask, summary)
            if self.frame_aggregation == "mean":
                memory = Memory(summary[:, None], mask[:, :1], summary)
        frames = None
        if self.frame_aggregation == "regions":
            frames = (torch.arange(mask.size(1), device=mask.device) // self.regions).expand_as(mask)
        return Memory(self.dropout(memory.states), memory.mask, self.dropout(memory.summary), frames)

    def whereabouts(self, mask: Bool[Tensor, "batch source"]) -> Float[Tensor, "batch source dim"]:
        """What tells a region's place, and its time from 0 to 1."""
        frames = mask.size(1) // self.regions
        number = torch.arange(frames, device=mask.device).repeat_interleave(self.regions)
        time = (number * self.regions) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.places.repeat(frames, 1) + self.time(time[..., None])
