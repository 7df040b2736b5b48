"""The memory: an encoded source, as attention and decoders receive it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Memory:
    """The output of every encoder, for a padded batch of sources.

    Attributes:
        states: The encoder states, which attention weighs.
        mask: True for real states, at least one in each row, False for padding.
        summary: The fixed-length context vector. It initializes decoders, and is all that a decoder without attention
            gets.
        segment_ids: The segment (sentence, image row, video frame) of each state, counted from 0, where the source has
            segments. Hierarchical attention uses it.
        token_ids: The id in the target vocabulary of the token at each state, where the source is text. Decoders that
            copy use it.
        repeated: The memory that this one repeats rows of, and which; see ``repeat``.
    """

    states: Float[Tensor, "batch source dim"]
    mask: Bool[Tensor, "batch source"]
    summary: Float[Tensor, "batch dim"]
    segment_ids: Int[Tensor, "batch source"] | None = None
    token_ids: Int[Tensor, "batch source"] | None = None
    repeated: "tuple[Memory, Int[Tensor, ' batch']] | None" = None

    def __post_init__(self):
        check_mask(self.mask)

    def select(self, rows: Int[Tensor, " rows"]) -> "Memory":
        """Return the memory of the given rows of the batch, in their order."""
        segment_ids, token_ids = (None if ids is None else ids[rows] for ids in (self.segment_ids, self.token_ids))
        return Memory(self.states[rows], self.mask[rows], self.summary[rows], segment_ids, token_ids)

    def repeat(self, rows: Int[Tensor, " rows"]) -> "Memory":
        """Return the same as ``select``, for rows that occur several times, as sources with several targets do.

        Attention projects the states of this memory, and then repeats its keys and values, which saves projections.
        """
        return replace(self.select(rows), repeated=(self, rows))


def check_mask(mask: Bool[Tensor, "batch source"]) -> None:
    """Check that something is real in each row, since there is no mean of nothing.

    A mask on a GPU is not checked: waiting for it would take longer than the check.

    Raises:
        ValueError: A row is padding alone.
    """
    if mask.device.type == "cpu" and not torch.compiler.is_exporting():
        is_empty = ~mask.any(dim=1)
        if is_empty.any():
            raise ValueError(
                f"the mask is False everywhere in row {int(is_empty.nonzero()[0])} of {len(mask)}: each source needs "
                "at least one real position"
            )
