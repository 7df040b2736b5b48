"""Attention by a score. Mask, weights and context are written here, once.

It is built from independent choices, each a module that may be left out but the first:

* a *score* (scores.py) says how well a query and a key fit;
* a *hierarchy* (hierarchical.py) chooses among segments first, and then among the states inside them;
* a *region* (regions.py) holds back what is far from where a query should look;
* a *draw* (hard.py) looks at one state instead of at all by their weights.

Many heads (multihead.py) do all of that several times at once.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention.base import Attention, AttentionOutput, KeyValues, SampleInfo, Segments
from encoders.base import Memory


class Score(nn.Module, ABC):
    """How well each query fits each key. It only scores: no mask, no softmax.

    ``is_sequential``: it also reads ``past``, the last weights and the sum of all; None at the first look.
    """

    is_sequential: bool = False

    def keys(self, states: Float[Tensor, "batch source dim"]) -> Float[Tensor, "batch source key"]:
        """What can be computed from the memory alone, once for each sentence."""
        return states

    @abstractmethod
    def forward(
        self,
        queries: Float[Tensor, "batch queries query"],
        keys: Float[Tensor, "batch source key"],
        past: Float[Tensor, "batch queries 2 source"] | None = None,
    ) -> Float[Tensor, "batch queries source"]:
        """Energies, any real number."""


class Locality(nn.Module, ABC):
    """Where a query may look: log-weights that are added to any score's energies, before the softmax.

    ``has_state``: it needs ``past``. ``is_sequential``: and that before it can say where the next query looks.
    """

    has_state: bool = False
    is_sequential: bool = False

    @abstractmethod
    def forward(
        self,
        queries: Float[Tensor, "batch queries query"],
        mask: Bool[Tensor, "batch source"],
        past: Float[Tensor, "batch queries 2 source"] | None,
    ) -> Float[Tensor, "batch queries source"]:
        """0 where a look is free, negative where it is held back, -inf where it is forbidden.

        Each query must be left at least one real position.
        """


class SegmentAttention(nn.Module, ABC):
    """Segments first, and then the states inside them."""

    @abstractmethod
    def start(self, memory: Memory) -> Segments:
        """Cut the memory into segments, and project them to keys."""

    @abstractmethod
    def forward(
        self,
        queries: Float[Tensor, "batch queries query"],
        energies: Float[Tensor, "batch queries source"],
        segments: Segments,
    ) -> Float[Tensor, "batch queries source"]:
        """The states' log-weights, from their energies, which are -inf on padding, and stay so there."""


class Selector(nn.Module, ABC):
    """How one position is picked from the softmax of the energies."""

    @abstractmethod
    def forward(
        self, energies: Float[Tensor, "batch queries source"]
    ) -> tuple[Float[Tensor, "batch queries source"], SampleInfo | None]:
        """Weights that are one at the position drawn, and what the draw has to answer for in training."""


class ScoredAttention(Attention):
    """Attention by a score: the softmax of its energies weighs the states (Bahdanau et al. 2015).

    ``segment_attention``, ``locality`` and ``selector``, where given, each change one thing about that; any goes with any.
    """

    def __init__(
        self,
        score: Score,
        dim: int,
        *,
        segment_attention: SegmentAttention | None = None,
        locality: Locality | None = None,
        selector: Selector | None = None,
    ):
        super().__init__()
        self.score = score
        self.segment_attention = segment_attention
        self.locality = locality
        self.selector = selector
        self.dim = dim
        self.is_sequential = score.is_sequential or (locality is not None and locality.is_sequential)
        self.has_state = self.is_sequential or (locality is not None and locality.has_state)

    def start(self, memory: Memory) -> KeyValues:
        segments = None if self.segment_attention is None else self.segment_attention.start(memory)
        return KeyValues(self.score.keys(memory.states), memory.states, memory.mask, segments=segments)

    def attend(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: KeyValues,
        past: Float[Tensor, "batch queries 2 source"] | None = None,
    ) -> AttentionOutput:
        energies = self.score(queries, lookup.keys, past)
        # Half precision sums a softmax badly over long sources, so it is done in float32 at least.
        energies = energies.to(torch.promote_types(energies.dtype, torch.float32))
        energies = energies.masked_fill(~lookup.mask[:, None], float("-inf"))
        if self.segment_attention is not None and lookup.segments is not None:
            energies = self.segment_attention(queries, energies, lookup.segments)
        if self.locality is not None:
            energies = energies + self.locality(queries, lookup.mask, past)
        weights, sample = (energies.softmax(dim=-1), None) if self.selector is None else self.selector(energies)
        past = self.update_state(weights, past)
        weights = weights.to(lookup.values.dtype)
        return AttentionOutput(weights @ lookup.values, weights, past, sample)

    def update_state(
        self, weights: Float[Tensor, "batch queries source"], past: Float[Tensor, "batch queries 2 source"] | None
    ) -> Float[Tensor, "batch queries 2 source"] | None:
        """``past`` after these looks: without one, each query's looks before are the queries before."""
        if not self.has_state:
            return None
        total = weights.cumsum(dim=1) if past is None else past[:, :, 1] + weights
        return torch.stack([weights, total], dim=2)
