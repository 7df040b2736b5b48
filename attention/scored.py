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

from attention.base import Attention, Drawn, Glance, Lookup, Segments
from encoders.base import Memory


class Score(nn.Module, ABC):
    """How well each query fits each key. It only scores: no mask, no softmax.

    ``sequential``: it also reads ``past``, the last weights and the sum of all; None at the first look.
    """

    sequential: bool = False

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


class Region(nn.Module, ABC):
    """Where a query may look: log-weights that are added to any score's energies, before the softmax.

    ``remembers``: it needs ``past``. ``sequential``: and that before it can say where the next query looks.
    """

    remembers: bool = False
    sequential: bool = False

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


class Hierarchy(nn.Module, ABC):
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


class Draw(nn.Module, ABC):
    """How one position is picked from the softmax of the energies."""

    @abstractmethod
    def forward(
        self, energies: Float[Tensor, "batch queries source"]
    ) -> tuple[Float[Tensor, "batch queries source"], Drawn | None]:
        """Weights that are one at the position drawn, and what the draw has to answer for in training."""


class ScoredAttention(Attention):
    """Attention by a score: the softmax of its energies weighs the states (Bahdanau et al. 2015).

    ``hierarchy``, ``region`` and ``draw``, where given, each change one thing about that; any goes with any.
    """

    def __init__(
        self,
        score: Score,
        dim: int,
        *,
        hierarchy: Hierarchy | None = None,
        region: Region | None = None,
        draw: Draw | None = None,
    ):
        super().__init__()
        self.score = score
        self.hierarchy = hierarchy
        self.region = region
        self.draw = draw
        self.dim = dim
        self.sequential = score.sequential or (region is not None and region.sequential)
        self.remembers = self.sequential or (region is not None and region.remembers)

    def start(self, memory: Memory) -> Lookup:
        segments = None if self.hierarchy is None else self.hierarchy.start(memory)
        return Lookup(self.score.keys(memory.states), memory.states, memory.mask, segments=segments)

    def attend(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: Lookup,
        past: Float[Tensor, "batch queries 2 source"] | None = None,
    ) -> Glance:
        energies = self.score(queries, lookup.keys, past)
        # Half precision sums a softmax badly over long sources, so it is done in float32 at least.
        energies = energies.to(torch.promote_types(energies.dtype, torch.float32))
        energies = energies.masked_fill(~lookup.mask[:, None], float("-inf"))
        if self.hierarchy is not None and lookup.segments is not None:
            energies = self.hierarchy(queries, energies, lookup.segments)
        if self.region is not None:
            energies = energies + self.region(queries, lookup.mask, past)
        weights, drawn = (energies.softmax(dim=-1), None) if self.draw is None else self.draw(energies)
        past = self.remembered(weights, past)
        weights = weights.to(lookup.values.dtype)
        return Glance(weights @ lookup.values, weights, past, drawn)

    def remembered(
        self, weights: Float[Tensor, "batch queries source"], past: Float[Tensor, "batch queries 2 source"] | None
    ) -> Float[Tensor, "batch queries 2 source"] | None:
        """``past`` after these looks: without one, each query's looks before are the queries before."""
        if not self.remembers:
            return None
        total = weights.cumsum(dim=1) if past is None else past[:, :, 1] + weights
        return torch.stack([weights, total], dim=2)
