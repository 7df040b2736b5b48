"""Attention by a score: masking, the softmax, and the context.

It is composed of independent choices. Each is a module, and all but the score are optional:

* a *score* (score_functions.py) compares a query with a key;
* *segment attention* (hierarchical.py) chooses among segments first, then among the states inside them;
* a *locality* (locality.py) is a bias towards some source positions;
* a *selector* (hard.py) picks a single state instead of the weighted mean of all.

Multi-head attention (multihead.py) runs several of them in parallel.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention.base import Attention, AttentionOutput
from attention.key_values import KeyValues, Segments
from attention.memory import Memory
from attention.state import AttentionState, SampleInfo


class Score(nn.Module, ABC):
    """Attention score: compares queries with keys, without mask and softmax.

    Attributes:
        is_sequential: The score depends on the weights of earlier steps, which are then part of the state.
    """

    is_sequential: bool = False

    def project_keys(self, states: Float[Tensor, "batch source dim"]) -> Float[Tensor, "batch source key_dim"]:
        """Compute what depends on the memory only, once for each sentence."""
        return states

    @abstractmethod
    def forward(
        self,
        queries: Float[Tensor, "batch queries query_dim"],
        keys: Float[Tensor, "batch source key_dim"],
        state: AttentionState,
    ) -> Float[Tensor, "batch queries source"]:
        """Compute the scores: any real numbers, the higher the better the match."""


class Locality(nn.Module, ABC):
    """Bias towards some source positions: log-weights that are added to any score before the softmax.

    Attributes:
        has_state: The bias depends on the step number.
        is_sequential: It depends on the weights of earlier steps as well.
    """

    has_state: bool = False
    is_sequential: bool = False

    @abstractmethod
    def forward(
        self,
        queries: Float[Tensor, "batch queries query_dim"],
        mask: Bool[Tensor, "batch source"],
        state: AttentionState,
    ) -> Float[Tensor, "batch queries source"]:
        """Compute the bias: 0 where there is none, negative to reduce a weight, -inf to exclude a position.

        At least one real position must remain for each query.
        """


class SegmentAttention(nn.Module, ABC):
    """Attention over segments first, then over the states inside them."""

    @abstractmethod
    def prepare(self, memory: Memory) -> Segments:
        """Divide the memory into segments, and project them to keys."""

    @abstractmethod
    def forward(
        self,
        queries: Float[Tensor, "batch queries query_dim"],
        scores: Float[Tensor, "batch queries source"],
        segments: Segments,
    ) -> Float[Tensor, "batch queries source"]:
        """Turn the scores of the states into their log-weights; both are -inf on padding."""


class Selector(nn.Module, ABC):
    """Choice of a single position from the softmax of the scores."""

    @abstractmethod
    def forward(
        self, scores: Float[Tensor, "batch queries source"]
    ) -> tuple[Float[Tensor, "batch queries source"], SampleInfo | None]:
        """Return weights that are one at the chosen position, and the log-probabilities of the samples."""


class ScoredAttention(Attention):
    """Attention by a score: the mean of the states, weighted by the softmax of their scores (Bahdanau et al. 2015).

    ``segment_attention``, ``locality`` and ``selector`` are independent of each other and of the score.
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

    def project(self, memory: Memory) -> KeyValues:
        segments = None if self.segment_attention is None else self.segment_attention.prepare(memory)
        return KeyValues(self.score.project_keys(memory.states), memory.states, memory.mask, segments=segments)

    def init_state(self, key_values: KeyValues) -> AttentionState:
        if not self.has_state:
            return AttentionState()
        step = torch.zeros(key_values.mask.size(0), 1, dtype=torch.long, device=key_values.mask.device)
        if not self.is_sequential:
            return AttentionState(step)
        return AttentionState(
            step, at_least_float32(key_values.values).new_zeros(key_values.mask.size(0), 1, 2, key_values.mask.size(1))
        )

    def forward(
        self, queries: Float[Tensor, "batch queries query_dim"], key_values: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        weights, state, sample = self.weigh(queries, key_values, state)
        return AttentionOutput(weights @ key_values.values, weights, state, sample)

    def attend_sequence(
        self, queries: Float[Tensor, "batch target query_dim"], key_values: KeyValues
    ) -> AttentionOutput:
        if not self.is_sequential:
            return super().attend_sequence(queries, key_values)
        state = self.init_state(key_values)
        steps, samples = [], []
        for query in queries.split(1, dim=1):
            weights, state, sample = self.weigh(query, key_values, state)
            steps.append(weights)
            samples.append(sample)
        weights = torch.cat(steps, dim=1)  # the contexts don't influence the weights: one product after the loop
        return AttentionOutput(weights @ key_values.values, weights, state, SampleInfo.cat(samples))

    def weigh(
        self, queries: Float[Tensor, "batch queries query_dim"], key_values: KeyValues, state: AttentionState
    ) -> tuple[Float[Tensor, "batch queries source"], AttentionState, SampleInfo | None]:
        """Return the weights of the states for each query, the state after this step, and what was sampled."""
        # A softmax over a long source is imprecise in half precision.
        scores = at_least_float32(self.score(queries, key_values.keys, state))
        scores = scores.masked_fill(~key_values.mask[:, None], float("-inf"))
        if self.segment_attention is not None and key_values.segments is not None:
            scores = self.segment_attention(queries, scores, key_values.segments)
        if self.locality is not None:
            scores = scores + self.locality(queries, key_values.mask, state)
        weights, sample = (scores.softmax(dim=-1), None) if self.selector is None else self.selector(scores)
        return weights.to(key_values.values.dtype), self.update_state(state, weights), sample

    def update_state(self, state: AttentionState, weights: Float[Tensor, "batch queries source"]) -> AttentionState:
        """Return the state after a step with these weights."""
        if state.step is None:
            return state
        if state.weights is None:
            return AttentionState(state.step + 1)
        return AttentionState(state.step + 1, torch.stack([weights, state.total_weights + weights], dim=2))


def at_least_float32(values: Tensor) -> Tensor:
    """Convert half precision to float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
