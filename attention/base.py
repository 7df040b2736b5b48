"""Attention: a query looks at a memory. Mask, softmax and context are written here, once.

An attention is built from independent choices: a *score* (attention/scores.py) says how well a query and a key
fit; the *structure* is one head or many (attention/multihead.py). Nothing is kept on a module between calls: what
belongs to a batch travels in :class:`Lookup`, so one attention may serve any number of batches and beams at once.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from encoders.base import Memory


@dataclass(frozen=True)
class Lookup:
    """A memory made ready to be looked at: its keys are projected once for a sentence, not once for a word.

    The axis ``queries`` of a query holds whatever looks at the same memory: all the positions of a teacher-forced
    target sentence, or the hypotheses of a beam. So a beam never copies a memory.
    """

    keys: Float[Tensor, "rows source key"]
    values: Float[Tensor, "rows source value"]
    mask: Bool[Tensor, "rows source"]
    heads: int = 1  # how many neighbouring rows belong to one sentence

    @property
    def batch_size(self) -> int:
        return self.keys.size(0) // self.heads

    def select(self, sentences: Int[Tensor, " sentences"]) -> "Lookup":
        """The lookups of some of the batch's sentences."""
        heads = torch.arange(self.heads, device=sentences.device)
        rows = (sentences[:, None] * self.heads + heads).flatten()
        return replace(self, keys=self.keys[rows], values=self.values[rows], mask=self.mask[rows])


@dataclass(frozen=True)
class Glance:
    """What one look returns: the context, and the weights it was made with (None: nothing was weighed).

    ``past`` is what the next look of the same hypothesis needs to know of its looks so far, None where it needs
    nothing: for each query, and each head if there are many, the last weights and the sum of all.
    """

    context: Float[Tensor, "batch queries dim"]
    weights: Float[Tensor, "batch queries source"] | None
    past: Float[Tensor, "batch queries ..."] | None = None


class Attention(nn.Module, ABC):
    """``start`` once for each memory, then ``attend`` for each query. ``dim``: the context's features.

    ``sequential``: a look depends on the one before it, so a sentence's positions cannot all look at once; each look
    but the first then takes the ``past`` that the last one returned.
    """

    dim: int
    sequential: bool = False

    @abstractmethod
    def start(self, memory: Memory) -> Lookup:
        """Project the memory's states to keys."""

    @abstractmethod
    def attend(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: Lookup,
        past: Float[Tensor, "batch queries ..."] | None = None,
    ) -> Glance:
        """Look at the memory; weights sum to one over the real positions and are zero on padding."""


class Score(nn.Module, ABC):
    """How well each query fits each key. It only scores: no mask, no softmax."""

    def keys(self, states: Float[Tensor, "batch source dim"]) -> Float[Tensor, "batch source key"]:
        """What can be computed from the memory alone, once for each sentence."""
        return states

    @abstractmethod
    def forward(
        self, queries: Float[Tensor, "batch queries query"], keys: Float[Tensor, "batch source key"]
    ) -> Float[Tensor, "batch queries source"]:
        """Energies, any real number."""


class Region(nn.Module, ABC):
    """Where a query may look: log-weights that are added to any score's energies, before the softmax."""

    sequential: bool = False

    @abstractmethod
    def forward(
        self,
        queries: Float[Tensor, "batch queries query"],
        mask: Bool[Tensor, "batch source"],
        past: Float[Tensor, "batch queries 2 source"] | None,
    ) -> Float[Tensor, "batch queries source"]:
        """0 where a look is free, negative where it is held back."""


class SoftAttention(Attention):
    """A softmax over all real positions (Bahdanau et al. 2015), with any score; ``region`` holds it back, if given."""

    def __init__(self, score: Score, dim: int, region: Region | None = None):
        super().__init__()
        self.score = score
        self.region = region
        self.dim = dim
        self.sequential = region is not None and region.sequential

    def start(self, memory: Memory) -> Lookup:
        return Lookup(self.score.keys(memory.states), memory.states, memory.mask)

    def energies(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: Lookup,
        past: Float[Tensor, "batch queries 2 source"] | None,
    ) -> Float[Tensor, "batch queries source"]:
        """What the softmax is taken of; ``past`` is None at the first look, and where nothing depends on it."""
        return self.score(queries, lookup.keys)

    def attend(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: Lookup,
        past: Float[Tensor, "batch queries 2 source"] | None = None,
    ) -> Glance:
        energies = self.energies(queries, lookup, past)
        if self.region is not None:
            energies = energies + self.region(queries, lookup.mask, past)
        # Half precision sums a softmax badly over long sources, so it is done in float32 at least.
        precise = torch.promote_types(energies.dtype, torch.float32)
        weights = energies.masked_fill(~lookup.mask[:, None], float("-inf")).softmax(dim=-1, dtype=precise)
        weights = weights.to(lookup.values.dtype)
        if self.sequential:
            total = weights if past is None else past[:, :, 1] + weights
            past = torch.stack([weights, total], dim=2)
        return Glance(weights @ lookup.values, weights, past)


class NoAttention(Attention):
    """The plain fixed context vector of the first sequence-to-sequence models (Cho et al. 2014).

    Every query gets the memory's summary, whatever it asks for.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def start(self, memory: Memory) -> Lookup:
        summary = memory.summary[:, None]
        return Lookup(summary, summary, memory.mask[:, :1])

    def attend(
        self, queries: Float[Tensor, "batch queries query"], lookup: Lookup, past: Tensor | None = None
    ) -> Glance:
        return Glance(lookup.values.expand(-1, queries.size(1), -1), None)


class Blind(Attention):
    """Sees nothing of the memory: a context without features. Makes a decoder a language model, as the prediction
    network of a transducer is (Graves 2012)."""

    dim = 0

    def start(self, memory: Memory) -> Lookup:
        nothing = memory.states[:, :1, :0]
        return Lookup(nothing, nothing, memory.mask[:, :1])

    def attend(
        self, queries: Float[Tensor, "batch queries query"], lookup: Lookup, past: Tensor | None = None
    ) -> Glance:
        return Glance(queries[..., :0], None)
