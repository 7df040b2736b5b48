"""The interface of attention: queries of a decoder, keys and values of a memory, and an explicit state.

Modules keep nothing between calls. All that belongs to a batch is passed in and returned (:class:`KeyValues`,
:class:`AttentionState`), so one module can serve any number of batches and beams at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attention.memory import Memory


@dataclass(frozen=True)
class Segments:
    """The segments of a memory (sentences, image rows, video frames), with a projected key each."""

    keys: Float[Tensor, "rows segments key"]
    mask: Bool[Tensor, "rows segments"]
    segment_ids: Int[Tensor, "rows source"]  # the segment of each state

    def select(self, rows: Int[Tensor, " rows"]) -> "Segments":
        """Return the segments of the given rows."""
        return Segments(self.keys[rows], self.mask[rows], self.segment_ids[rows])


@dataclass(frozen=True)
class KeyValues:
    """The keys and values of a memory, computed once for each sentence instead of at each step.

    All queries to one memory share its row: the positions of a teacher-forced target or the hypotheses of a beam lie on
    the axis ``queries`` of the query, so a beam never copies a memory. The heads of multi-head attention are
    consecutive rows.
    """

    keys: Float[Tensor, "rows source key"]
    values: Float[Tensor, "rows source value"]
    mask: Bool[Tensor, "rows source"]
    num_heads: int = 1  # consecutive rows that belong to one sentence
    segments: Segments | None = None

    @property
    def batch_size(self) -> int:
        """The number of sentences."""
        return self.keys.size(0) // self.num_heads

    def select(self, batch_index: Int[Tensor, " sentences"]) -> "KeyValues":
        """Return the keys and values of the given sentences."""
        heads = torch.arange(self.num_heads, device=batch_index.device)
        rows = (batch_index[:, None] * self.num_heads + heads).flatten()
        segments = None if self.segments is None else self.segments.select(rows)
        return replace(self, keys=self.keys[rows], values=self.values[rows], mask=self.mask[rows], segments=segments)

    def reorder(self, rows: Int[Tensor, "sentences beam"], num_hypotheses: int) -> "KeyValues":
        """Follow a reordering of hypotheses. Copies only if a sentence has left the batch.

        Args:
            rows: The indices of the chosen hypotheses, among ``num_hypotheses``; each row of one sentence.
            num_hypotheses: The number of hypotheses before the reordering, all sentences together.
        """
        batch_index = rows[:, 0] // (num_hypotheses // self.batch_size)
        return self if len(batch_index) == self.batch_size else self.select(batch_index)


@dataclass(frozen=True)
class AttentionState:
    """The history of attention, for each query: what its next step depends on.

    Empty for stateless attention.

    Args:
        step: The number of steps so far.
        weights: For sequential attention, the weights of the last step and the sum of the weights of all steps, zero
            before the first step. There is an axis of heads if the attention has heads.
    """

    step: Int[Tensor, "rows queries"] | None = None
    weights: Float[Tensor, "rows queries *heads 2 source"] | None = None

    @property
    def last_weights(self) -> Float[Tensor, "rows queries *heads source"]:
        """The weights of the last step."""
        assert self.weights is not None, "only sequential attention keeps weights"
        return self.weights[..., 0, :]

    @property
    def total_weights(self) -> Float[Tensor, "rows queries *heads source"]:
        """The sum of the weights of all steps."""
        assert self.weights is not None, "only sequential attention keeps weights"
        return self.weights[..., 1, :]

    def map(self, function: Callable[..., Tensor], *others: "AttentionState") -> "AttentionState":
        """Apply ``function`` to each tensor of this state and the same tensors of ``others``."""
        if self.step is None:
            return self
        step = function(self.step, *(other.step for other in others))
        if self.weights is None:
            return AttentionState(step)
        return AttentionState(step, function(self.weights, *(other.weights for other in others)))

    def reorder(self, rows: Int[Tensor, " new_rows"]) -> "AttentionState":
        """Return the state of the given rows."""
        return self.map(lambda part: part[rows])

    def where(self, rows: Bool[Tensor, " rows"], other: "AttentionState") -> "AttentionState":
        """Return this state in the rows where ``rows`` is True, and ``other`` in the rest."""
        return self.map(lambda own, its: torch.where(rows.view(-1, *[1] * (own.dim() - 1)), own, its), other)

    def consecutive(self, num_steps: int) -> "AttentionState":
        """Return the states of ``num_steps`` consecutive queries, where a state is no more than a step number."""
        assert self.weights is None, "the weights of later steps are not known in advance"
        return self.map(lambda step: step + torch.arange(num_steps, device=step.device))

    def last_query(self) -> "AttentionState":
        """Return the state of the last query."""
        return self.map(lambda part: part[:, -1:])


@dataclass(frozen=True)
class SampleInfo:
    """Log-probabilities and entropies of sampled attention (attention/hard.py), which its training needs."""

    log_prob: Float[Tensor, "batch queries"]  # of the sampled positions
    entropy: Float[Tensor, "batch queries"]  # of the distributions they were sampled from

    @classmethod
    def cat(cls, parts: "Sequence[SampleInfo | None]") -> "SampleInfo | None":
        """Concatenate the samples of consecutive steps; None if nothing was sampled."""
        return cls.combine(parts, lambda tensors: torch.cat(tensors, dim=1))

    @classmethod
    def sum(cls, parts: "Sequence[SampleInfo | None]") -> "SampleInfo | None":
        """Add up independent samples of the same steps (heads, layers); None if nothing was sampled."""
        return cls.combine(parts, lambda tensors: torch.stack(tensors).sum(dim=0))

    @classmethod
    def combine(
        cls, parts: "Sequence[SampleInfo | None]", function: Callable[[list[Tensor]], Tensor]
    ) -> "SampleInfo | None":
        """Apply ``function`` to all log-probabilities, and to all entropies."""
        sampled = [part for part in parts if part is not None]
        if not sampled:
            return None
        return cls(function([part.log_prob for part in sampled]), function([part.entropy for part in sampled]))


@dataclass(frozen=True)
class AttentionOutput:
    """The result of attention steps.

    Args:
        context: The weighted means of the values.
        weights: The attention weights; None for attention without weights.
        state: The state for the next step.
        sample: Set where the positions were sampled.
    """

    context: Float[Tensor, "batch queries dim"]
    weights: Float[Tensor, "batch queries source"] | None
    state: AttentionState
    sample: SampleInfo | None = None


class Attention(nn.Module, ABC):
    """Base class of attention: ``prepare`` and ``init_state`` once for each memory, then a step for each query.

    Attributes:
        dim: Features of the context.
        has_state: A step depends on the state, at least on the step number.
        is_sequential: A step depends on the weights of earlier steps, so the steps of a sentence cannot be parallel.
        has_weights: Outputs have weights.
    """

    dim: int
    has_state: bool = False
    is_sequential: bool = False
    has_weights: bool = True

    @abstractmethod
    def prepare(self, memory: Memory) -> KeyValues:
        """Project the states of the memory to keys."""

    def init_state(self, keys: KeyValues) -> AttentionState:
        """Return the state before the first step, one row and one query for each sentence."""
        return AttentionState()

    @abstractmethod
    def forward(
        self, queries: Float[Tensor, "batch queries query"], keys: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        """Attend to the memory: each query is one step, independent of the others, with its own state.

        Args:
            queries: The queries; row i attends to the i-th sentence.
            keys: The result of ``prepare``.
            state: The state of each query, with the axes (batch, queries).

        Returns:
            Contexts and weights, which sum to one over the real positions and are zero on padding, and the state of
            each query after this step.
        """

    def attend_sequence(self, queries: Float[Tensor, "batch target query"], keys: KeyValues) -> AttentionOutput:
        """Attend from all positions of each sentence, from the initial state on.

        The steps run in parallel unless the attention is sequential. The returned state is the one after the last
        position.
        """
        state = self.init_state(keys)
        if not self.is_sequential:
            output = self(queries, keys, state.consecutive(queries.size(1)))
            return replace(output, state=output.state.last_query())
        outputs: list[AttentionOutput] = []
        for query in queries.split(1, dim=1):
            outputs.append(self(query, keys, state))
            state = outputs[-1].state
        return cat_outputs(outputs)

    def attend_step(
        self, queries: Float[Tensor, "rows query"], keys: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        """Take one step of each hypothesis.

        The hypotheses of a sentence become the axis ``queries``, so that the memory is not copied for each of them.

        Args:
            queries: The query of each hypothesis, sentence by sentence, equally many for each.
            keys: The result of ``prepare``, one row a sentence.
            state: The state of each hypothesis, with the axes (rows, 1).

        Returns:
            An output whose rows are the hypotheses, with one query each.
        """
        grid = keys.batch_size, -1
        output = self(queries.unflatten(0, grid), keys, state.map(lambda part: part.squeeze(1).unflatten(0, grid)))

        def to_rows(part: Tensor) -> Tensor:
            return part.flatten(0, 1)[:, None]

        sample = output.sample
        return AttentionOutput(
            to_rows(output.context),
            None if output.weights is None else to_rows(output.weights),
            output.state.map(to_rows),
            None if sample is None else SampleInfo(to_rows(sample.log_prob), to_rows(sample.entropy)),
        )


def cat_outputs(outputs: Sequence[AttentionOutput]) -> AttentionOutput:
    """Concatenate the outputs of consecutive steps, of which there is at least one; the state is that of the last."""
    weights = [output.weights for output in outputs if output.weights is not None]
    return AttentionOutput(
        torch.cat([output.context for output in outputs], dim=1),
        torch.cat(weights, dim=1) if weights else None,
        outputs[-1].state,
        SampleInfo.cat([output.sample for output in outputs]),
    )


class FixedContext(Attention):
    """A fixed context vector, as in the first sequence-to-sequence models (Cho et al. 2014).

    Every query gets the summary of the memory.
    """

    has_weights = False

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def prepare(self, memory: Memory) -> KeyValues:
        summary = memory.summary[:, None]
        return KeyValues(summary, summary, memory.mask[:, :1])

    def forward(
        self, queries: Float[Tensor, "batch queries query"], keys: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        return AttentionOutput(keys.values.expand(-1, queries.size(1), -1), None, state)


class NoContext(Attention):
    """A context without features.

    It turns a decoder into a language model, such as the prediction network of a transducer (Graves 2012).
    """

    dim = 0
    has_weights = False

    def prepare(self, memory: Memory) -> KeyValues:
        empty = memory.states[:, :1, :0]
        return KeyValues(empty, empty, memory.mask[:, :1])

    def forward(
        self, queries: Float[Tensor, "batch queries query"], keys: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        return AttentionOutput(queries[..., :0], None, state)
