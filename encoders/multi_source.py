"""The encoder of several sources that share one timeline, such as the frames and the sound of a video."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from attention.memory import Memory
from encoders.base import Encoder, SourceBatch


class MultiSourceEncoder(Encoder):
    """An encoder for each source; one memory with the states of all, in the order of their time.

    Attention with one softmax over all states is the flat combination of Libovický & Helcl (2017). The segments are
    the sources, so hierarchical attention is their other combination: first a source, then a state of it. Since the
    states are in the order of time, whatever depends on positions (location-sensitive, monotonic and guided attention)
    works as with one source.
    """

    def __init__(self, encoders: Sequence[Encoder], dim: int):
        """Join ``encoders``; their states and summaries are projected to ``dim`` features each."""
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.state_proj = nn.ModuleList(nn.Linear(encoder.dim, dim) for encoder in encoders)
        self.summary_proj = nn.Linear(sum(encoder.dim for encoder in encoders), dim)
        self.dim = dim

    def forward(self, source: SourceBatch) -> Memory:
        """Encode ``source`` with the first encoder, and its ``others`` with the others."""
        memories = [encoder(each) for encoder, each in zip(self.encoders, (source, *source.others), strict=True)]
        states = torch.cat(
            [project(memory.states) for project, memory in zip(self.state_proj, memories, strict=True)], dim=1
        )
        source_ids = [torch.full_like(memory.mask, place, dtype=torch.long) for place, memory in enumerate(memories)]
        order, mask = order_by_time([memory.mask for memory in memories])
        return Memory(
            states.take_along_dim(order[..., None], dim=1),
            mask,
            torch.tanh(self.summary_proj(torch.cat([memory.summary for memory in memories], dim=1))),
            segment_ids=torch.cat(source_ids, dim=1).take_along_dim(order, dim=1),
        )


def order_by_time(
    masks: Sequence[Bool[Tensor, "batch _"]],
) -> tuple[Int[Tensor, "batch states"], Bool[Tensor, "batch states"]]:
    """Order the concatenated states of several sources by their time, padding last.

    The states of a source cover the same time in equal parts; each is at the middle of its part.

    Returns:
        Indices into the concatenation, and the mask of the ordered states.
    """
    mask = torch.cat(list(masks), dim=1)
    times = [
        (torch.arange(each.size(1), device=each.device) + 0.5) / each.sum(dim=1, keepdim=True).clamp(min=1)
        for each in masks
    ]
    order = torch.cat(times, dim=1).masked_fill(~mask, float("inf")).argsort(dim=1, stable=True)
    num_states = int(mask.sum(dim=1).max())
    order = order[:, :num_states]
    return order, mask.take_along_dim(order, dim=1)
