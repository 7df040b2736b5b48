"""Hierarchical attention: segments first, and then the states inside them.

Sentences and the words in them, frames and the places in them, rows of a picture and their columns: where the memory
says how it is cut (Memory.segments), that is taken; else it is cut into pieces of equal length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from attention.base import Segments
from attention.scored import Score, SegmentAttention
from encoders.base import Memory

DEFAULT = 8  # states in a segment, where nobody says


class HierarchicalSoftmax(SegmentAttention):
    """p(state) = p(segment) p(state | segment), each a softmax by a score of its own (after Nallapati et al. 2016).

    A segment's key is made of the mean of its states. Written as log-weights, a softmax over all states gives
    exactly this product, so regions and draws follow as after any score.
    """

    def __init__(self, score: Score, length: int = 0):
        """``length``: states in a segment; 0: as the memory is cut."""
        super().__init__()
        self.score = score
        self.length = length

    def start(self, memory: Memory) -> Segments:
        of = memory.segments
        if of is None or self.length:
            places = torch.arange(memory.mask.size(1), device=memory.mask.device)
            of = (places // (self.length or DEFAULT)).expand_as(memory.mask)
        of = of.masked_fill(~memory.mask, 0)
        numbers = torch.arange(int(of.max()) + 1, device=of.device)
        inside = (of[:, None] == numbers[:, None]) & memory.mask[:, None]  # (batch, segments, source)
        count = inside.sum(dim=-1, keepdim=True)
        means = inside.to(memory.states.dtype) @ memory.states.masked_fill(~memory.mask[..., None], 0.0)
        return Segments(self.score.keys(means / count.clamp(min=1)), count.squeeze(-1) > 0, of)

    def forward(
        self,
        queries: Float[Tensor, "batch queries query"],
        energies: Float[Tensor, "batch queries source"],
        segments: Segments,
    ) -> Float[Tensor, "batch queries source"]:
        choice = self.score(queries, segments.keys).to(energies.dtype)
        choice = choice.masked_fill(~segments.mask[:, None], float("-inf")).log_softmax(dim=-1)
        of = segments.of[:, None].expand_as(energies)
        total = segmental_logsumexp(energies, of, choice.size(-1))
        return energies + (choice.masked_fill(~segments.mask[:, None], 0.0) - total).gather(-1, of)


def segmental_logsumexp(
    energies: Float[Tensor, "batch queries source"], of: Tensor, segments: int
) -> Float[Tensor, "batch queries segments"]:
    """Of the energies in each segment; finite also where there are none."""
    shape = *energies.shape[:2], segments
    peak = energies.detach().new_full(shape, torch.finfo(energies.dtype).min)
    peak = peak.scatter_reduce(-1, of, energies.detach(), "amax")
    total = energies.new_zeros(shape).scatter_add(-1, of, (energies - peak.gather(-1, of)).exp())
    return peak + total.clamp(min=torch.finfo(energies.dtype).tiny).log()
