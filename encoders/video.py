"""The video encoder: frames in; a state for each frame, for each region of each frame, or one state for all out."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention.dropout import Dropout
from attention.memory import Memory
from encoders.base import Encoder, Frontend, SequenceEncoder, SourceBatch
from encoders.config import FrameAggregation
from encoders.image import build_activation
from encoders.pooling import MeanPooling
from encoders.video_frontends import Conv3dFrontend, FrameCNN, TwoStream

__all__ = ["Conv3dFrontend", "FrameAggregation", "FrameCNN", "TwoStream", "VideoEncoder"]


class VideoEncoder(Encoder):
    """A frontend whose states are projected to ``hidden_dim`` features, and the memory made of their sequence.

    ``frame_aggregation`` chooses the states of the memory:

    * ``mean``: the mean of all frames is the only one (Venugopalan et al. 2015a).
    * ``frames``: one for each frame; with a recurrent ``sequence_encoder`` as Yao et al. 2015.
    * ``regions``: one for each region of each frame, with embeddings of its position and its time. The segments are
      the frames.
    """

    def __init__(
        self,
        frontend: Frontend,
        hidden_dim: int,
        *,
        frame_aggregation: FrameAggregation = "frames",
        num_regions: int = 1,
        sequence_encoder: SequenceEncoder | None = None,
        dropout: float = 0.0,
        pooling: nn.Module | None = None,
        normalize: bool = False,
    ):
        """Build a video encoder.

        Args:
            frontend: Makes states of pixels, or of frame features.
            hidden_dim: Features of a projected state.
            frame_aggregation: States of the memory, see the class.
            num_regions: Regions that the frontend concatenates in a state; they are separated for ``regions``.
            sequence_encoder: Encoder of the projected frames, for ``frames``. Its summary is then the memory's.
            dropout: Dropout rate of the frontend's states, of the memory's states and of the summary.
            pooling: Computes the summary without a sequence encoder; the mean by default.
            normalize: See ``encoders.image.build_activation``.

        Raises:
            ValueError: There is a ``sequence_encoder``, and ``frame_aggregation`` is not ``frames``.
        """
        if sequence_encoder is not None and frame_aggregation != "frames":
            raise ValueError(
                f"frame_aggregation is {frame_aggregation!r} with a sequence_encoder; a sequence_encoder needs 'frames'"
            )
        super().__init__()
        self.frontend = frontend
        self.frame_aggregation = frame_aggregation
        self.num_regions = num_regions if frame_aggregation == "regions" else 1
        input_dim = frontend.dim // self.num_regions
        self.projection = nn.Sequential(nn.LayerNorm(input_dim), Dropout(dropout), nn.Linear(input_dim, hidden_dim))
        self.activation = build_activation(frontend, hidden_dim, normalize)
        if frame_aggregation == "regions":
            self.position_embedding = nn.Parameter(nn.init.normal_(torch.empty(num_regions, hidden_dim), std=0.02))
            self.time_proj = nn.Linear(1, hidden_dim)
        self.dropout = Dropout(dropout)
        self.sequence_encoder = sequence_encoder
        self.pooling = pooling or MeanPooling()
        self.dim = hidden_dim if sequence_encoder is None else sequence_encoder.dim

    def forward(self, source: SourceBatch) -> Memory:
        """Encode videos; ``source.values``: what the frontend takes, or its precomputed states."""
        states, mask = (source.values, source.mask) if source.precomputed else self.frontend(source)
        states = states.unflatten(2, (self.num_regions, -1)).flatten(1, 2)  # (batch, frames * regions, features)
        mask = mask.repeat_interleave(self.num_regions, dim=1)
        states = self.projection(states)
        frame_ids = None
        if self.frame_aggregation == "regions":
            states = states + self.region_positions(mask).to(states.dtype)
            frame_ids = (torch.arange(mask.size(1), device=mask.device) // self.num_regions).expand_as(mask)
        states = self.activation(states)
        if self.sequence_encoder is not None:
            memory = self.sequence_encoder(self.dropout(states), mask)
        else:
            memory = Memory(states, mask, self.pooling(states, mask))
            if self.frame_aggregation == "mean":
                memory = Memory(memory.summary[:, None], mask[:, :1], memory.summary)
        return Memory(self.dropout(memory.states), memory.mask, self.dropout(memory.summary), segment_ids=frame_ids)

    def region_positions(self, mask: Bool[Tensor, "batch source"]) -> Float[Tensor, "batch source dim"]:
        """Return the embedding of each region's position in its frame and of its time, from 0 to 1, in the video."""
        num_frames = mask.size(1) // self.num_regions
        frame_ids = torch.arange(num_frames, device=mask.device).repeat_interleave(self.num_regions)
        time = (frame_ids * self.num_regions) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.position_embedding.repeat(num_frames, 1) + self.time_proj(time[..., None])
