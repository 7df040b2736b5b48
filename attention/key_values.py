"""Keys and values of a memory, computed once for each source.

Axes: ``batch_heads`` is the batch with the heads of each example in consecutive rows (the batch itself, if there is one
head); ``key_dim`` and ``value_dim`` are features.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """The segments of a memory (sentences, image rows, video frames), with a projected key each."""

    keys: Float[Tensor, "batch_heads segments key_dim"]
    mask: Bool[Tensor, "batch_heads segments"]
    segment_ids: Int[Tensor, "batch_heads source"]  # the segment of each state

    def select(self, rows: Int[Tensor, " rows"]) -> "Segments":
        """Return the segments of the given rows."""
        return Segments(self.keys[rows], self.mask[rows], self.segment_ids[rows])


@dataclass(frozen=True)
class KeyValues:
    """The keys and values of a memory.

    Attributes:
        keys: Projected states, compared with queries.
        values: States or projected states, averaged to contexts.
        mask: True at real positions.
        num_heads: Consecutive rows that belong to one source.
        segments: The segments of the memory, for hierarchical attention.
    """

    keys: Float[Tensor, "batch_heads source key_dim"]
    values: Float[Tensor, "batch_heads source value_dim"]
    mask: Bool[Tensor, "batch_heads source"]
    num_heads: int = 1
    segments: Segments | None = None

    @property
    def batch_size(self) -> int:
        """The number of sources."""
        return self.keys.size(0) // self.num_heads

    def select(self, batch_index: Int[Tensor, " chosen"]) -> "KeyValues":
        """Return the keys and values of the given sources."""
        heads = torch.arange(self.num_heads, device=batch_index.device)
        rows = (batch_index[:, None] * self.num_heads + heads).flatten()
        segments = None if self.segments is None else self.segments.select(rows)
        return replace(self, keys=self.keys[rows], values=self.values[rows], mask=self.mask[rows], segments=segments)

    def reorder(self, beam_indices: Int[Tensor, "batch beam"], num_hypotheses: int) -> "KeyValues":
        """Follow a reordering of hypotheses. Nothing is copied unless a source has left the batch.

        Args:
            beam_indices: The chosen hypotheses, counted over the whole batch; each row belongs to one source.
            num_hypotheses: The number of hypotheses before the reordering, over the whole batch.
        """
        batch_index = beam_indices[:, 0] // (num_hypotheses // self.batch_size)
        return self if len(batch_index) == self.batch_size else self.select(batch_index)
