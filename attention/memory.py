"""The memory: an encoded source, as attention and decoders receive it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Memory:
    """The output of every encoder, for a padded batch of sources.

    Attributes:
        states: The encoder states, which attention weighs.
        mask: True for real states, False for padding.
        summary: The fixed-length context vector. It initializes decoders, and is all that a decoder without attention
            gets.
        segment_ids: The segment (sentence, image row, video frame) of each state, counted from 0, where the source has
            segments. Hierarchical attention uses it.
        token_ids: The id in the target vocabulary of the token at each state, where the source is text. Decoders that
            copy use it.
        keys: What queries are compared with, where an encoder makes keys of another scale than its states.
    """

    states: Float[Tensor, "batch source dim"]
    mask: Bool[Tensor, "batch source"]
    summary: Float[Tensor, "batch dim"]
    segment_ids: Int[Tensor, "batch source"] | None = None
    token_ids: Int[Tensor, "batch source"] | None = None
    keys: Float[Tensor, "batch source dim"] | None = None

    @property
    def key_states(self) -> Float[Tensor, "batch source dim"]:
        """The keys, which are the states unless the encoder says otherwise."""
        return self.states if self.keys is None else self.keys

    def map(self, function: Callable[[Tensor], Tensor]) -> "Memory":
        """Apply a function, such as dropout, to the states and to the keys, if there are any."""
        return replace(self, states=function(self.states), keys=None if self.keys is None else function(self.keys))

    def select(self, rows: Int[Tensor, " rows"]) -> "Memory":
        """Return the memory of the given rows of the batch, in their order."""
        optional = self.segment_ids, self.token_ids, self.keys
        selected = [None if part is None else part[rows] for part in optional]
        return Memory(self.states[rows], self.mask[rows], self.summary[rows], *selected)
