"""Hierarchical attention: over segments first, then over the states inside them.

Segments are the sentences of a text, the rows of an image or the frames of a video, as the encoder says
(``Memory.segment_ids``); otherwise the memory is divided into segments of equal size.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention.key_values import Segments
from attention.memory import Memory
from attention.scored import Score, SegmentAttention
from attention.state import AttentionState

DEFAULT_SEGMENT_SIZE = 8  # states, where the memory has no segments


class HierarchicalSoftmax(SegmentAttention):
    """p(state) = p(segment) p(state | segment), each a softmax of its own score (after Nallapati et al. 2016).

    The key of a segment is computed from the mean of its states. The result is log-weights whose softmax over all
    states is this product, so localities and selectors apply as they do to any score.
    """

    def __init__(self, score: Score, segment_size: int = 0):
        """Set up the softmax over segments.

        Args:
            score: The score of the segments.
            segment_size: States in a segment; 0: the memory's own segments.

        Raises:
            ValueError: if the score is sequential; segments have no state.
        """
        super().__init__()
        if score.is_sequential:
            raise ValueError(f"score is {type(score).__name__}, which is sequential; segments need one that is not")
        self.score = score
        self.segment_size = segment_size

    def prepare(self, memory: Memory) -> Segments:
        segment_ids = memory.segment_ids
        if segment_ids is None or self.segment_size:
            positions = torch.arange(memory.mask.size(1), device=memory.mask.device)
            segment_ids = (positions // (self.segment_size or DEFAULT_SEGMENT_SIZE)).expand_as(memory.mask)
        segment_ids = segment_ids.masked_fill(~memory.mask, 0)
        all_ids = torch.arange(int(segment_ids.max()) + 1, device=segment_ids.device)
        is_inside = (segment_ids[:, None] == all_ids[:, None]) & memory.mask[:, None]  # (batch, segments, source)
        sizes = is_inside.sum(dim=-1, keepdim=True)
        sums = is_inside.to(memory.states.dtype) @ memory.states.masked_fill(~memory.mask[..., None], 0.0)
        return Segments(self.score.project_keys(sums / sizes.clamp(min=1)), sizes.squeeze(-1) > 0, segment_ids)

    def forward(
        self,
        queries: Float[Tensor, "batch queries query_dim"],
        scores: Float[Tensor, "batch queries source"],
        segments: Segments,
    ) -> Float[Tensor, "batch queries source"]:
        is_empty = ~segments.mask[:, None]
        log_probs = self.score(queries, segments.keys, AttentionState()).to(scores.dtype)
        log_probs = log_probs.masked_fill(is_empty, float("-inf")).log_softmax(dim=-1)
        segment_ids = segments.segment_ids[:, None].expand_as(scores)
        normalizers = segment_logsumexp(scores, segment_ids, log_probs.size(-1))
        return scores + (log_probs.masked_fill(is_empty, 0.0) - normalizers).gather(-1, segment_ids)


def segment_logsumexp(
    scores: Float[Tensor, "batch queries source"], segment_ids: Int[Tensor, "batch queries source"], num_segments: int
) -> Float[Tensor, "batch queries segments"]:
    """Return the logsumexp of the scores in each segment; a finite number for empty segments."""
    shape = *scores.shape[:2], num_segments
    peaks = scores.detach().new_full(shape, torch.finfo(scores.dtype).min)
    peaks = peaks.scatter_reduce(-1, segment_ids, scores.detach(), "amax")
    sums = scores.new_zeros(shape).scatter_add(-1, segment_ids, (scores - peaks.gather(-1, segment_ids)).exp())
    return peaks + sums.clamp(min=torch.finfo(scores.dtype).tiny).log()
