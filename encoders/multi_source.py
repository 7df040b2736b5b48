"""Encoders of several sources that share one timeline, such as the frames and the sound of a video."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attention.memory import Memory
from encoders.base import Encoder, SourceBatch
from encoders.config import FusionName


class MultiSourceEncoder(Encoder):
    """An encoder for each source, and one memory of them all. The summary is projected from all summaries."""

    def __init__(self, encoders: Sequence[Encoder], dim: int):
        """Join ``encoders``; the states and the summary of the memory have ``dim`` features."""
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.summary_proj = nn.Linear(sum(encoder.dim for encoder in encoders), dim)
        self.dim = dim

    def forward(self, source: SourceBatch) -> Memory:
        """Encode ``source`` with the first encoder, and its ``others`` with the others."""
        memories = [encoder(each) for encoder, each in zip(self.encoders, (source, *source.others), strict=True)]
        summary = torch.tanh(self.summary_proj(torch.cat([memory.summary for memory in memories], dim=1)))
        states, mask, source_ids = self.fuse(memories)
        return Memory(states, mask, summary, segment_ids=source_ids)

    @abstractmethod
    def fuse(
        self, memories: Sequence[Memory]
    ) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"], Int[Tensor, "batch states"] | None]:
        """Return the states of the memory, their mask, and the source of each state if it has only one."""


class FeatureFusion(MultiSourceEncoder):
    """A state for each state of the first source, projected from it and from the others' states at the same time.

    Attention chooses a moment, and gets what all sources say about it (after Petridis et al. 2018).
    """

    def __init__(self, encoders: Sequence[Encoder], dim: int):
        super().__init__(encoders, dim)
        self.state_proj = nn.Linear(sum(encoder.dim for encoder in encoders), dim)

    def fuse(
        self, memories: Sequence[Memory]
    ) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"], None]:
        first, *others = memories
        times = times_of(first.mask)
        parts = [first.states]
        for other in others:
            index = (times * other.mask.sum(dim=1, keepdim=True)).long().clamp(max=other.mask.size(1) - 1)
            parts.append(other.states.take_along_dim(index[..., None], dim=1))
        return self.state_proj(torch.cat(parts, dim=2)), first.mask, None


class StateFusion(MultiSourceEncoder):
    """The projected states of all sources in the order of their time.

    Attention with one softmax over them is the flat combination of Libovický & Helcl (2017). The segments are the
    sources, so hierarchical attention is their other combination: first a source, then a state of it. Since the states
    are in the order of time, whatever depends on positions (location-sensitive, monotonic and guided attention) works
    as with one source.
    """

    def __init__(self, encoders: Sequence[Encoder], dim: int):
        super().__init__(encoders, dim)
        self.state_proj = nn.ModuleList(nn.Linear(encoder.dim, dim) for encoder in encoders)

    def fuse(
        self, memories: Sequence[Memory]
    ) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"], Int[Tensor, "batch states"]]:
        states = [project(memory.states) for project, memory in zip(self.state_proj, memories, strict=True)]
        source_ids = [torch.full_like(memory.mask, place, dtype=torch.long) for place, memory in enumerate(memories)]
        order, mask = order_by_time([memory.mask for memory in memories])
        return (
            torch.cat(states, dim=1).take_along_dim(order[..., None], dim=1),
            mask,
            torch.cat(source_ids, dim=1).take_along_dim(order, dim=1),
        )


def order_by_time(
    masks: Sequence[Bool[Tensor, "batch _"]],
) -> tuple[Int[Tensor, "batch states"], Bool[Tensor, "batch states"]]:
    """Order the concatenated states of several sources by their time, padding last.

    Returns:
        Indices into the concatenation, and the mask of the ordered states.
    """
    mask = torch.cat(list(masks), dim=1)
    times = torch.cat([times_of(each) for each in masks], dim=1)
    order = times.masked_fill(~mask, float("inf")).argsort(dim=1, stable=True)
    order = order[:, : int(mask.sum(dim=1).max())]
    return order, mask.take_along_dim(order, dim=1)


def times_of(mask: Bool[Tensor, "batch states"]) -> Float[Tensor, "batch states"]:
    """Return the time of each state, from 0 to 1: the states of a source cover equal parts, each has the middle of its.

    Padding has later times.
    """
    return (torch.arange(mask.size(1), device=mask.device) + 0.5) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def build_fusion(name: FusionName, encoders: Sequence[Encoder], dim: int) -> MultiSourceEncoder:
    """Build the encoder of several sources whose memory has the named form."""
    return (FeatureFusion if name == "features" else StateFusion)(encoders, dim)
