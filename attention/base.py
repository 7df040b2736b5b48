"""The interface of attention: queries of a decoder, keys and values of a memory, and an explicit state.

Queries have a dimension of their own, (batch, queries, query_dim): target positions in training, the hypotheses of the
beam in beam search. So encoder states need not be repeated for a beam, and keys are projected once for each source.

Modules keep nothing between calls. All that belongs to a batch is passed in and returned (:class:`KeyValues`,
:class:`AttentionState`), so one module can serve any number of batches and beams at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from attention.key_values import KeyValues
from attention.memory import Memory
from attention.state import AttentionState, SampleInfo


@dataclass(frozen=True)
class AttentionOutput:
    """The result of attention steps.

    Attributes:
        context: The weighted means of the values.
        weights: The attention weights, averaged over heads; None for attention without weights.
        state: The state for the next step.
        sample: Log-probabilities of the sampled source positions, with hard attention.
    """

    context: Float[Tensor, "batch queries dim"]
    weights: Float[Tensor, "batch queries source"] | None
    state: AttentionState
    sample: SampleInfo | None = None


class Attention(nn.Module, ABC):
    """Base class of attention: ``prepare`` and ``init_state`` once for each memory, then a step for each query.

    Attributes:
        dim: Size of the context vector.
        has_state: A step depends on the state: on the step number, as in local-m attention (Luong et al. 2015), or on
            earlier weights.
        is_sequential: A step depends on earlier weights, as in location-sensitive, coverage and monotonic attention,
            so the target positions cannot be computed in parallel.
        has_weights: Outputs have weights; False without attention, where the context is the memory's summary.
    """

    dim: int
    has_state: bool = False
    is_sequential: bool = False
    has_weights: bool = True

    def prepare(self, memory: Memory) -> KeyValues:
        """Compute all that does not depend on queries, once for each source, also if several rows have the same."""
        if memory.repeated is None:
            return self.project(memory)
        sources, rows = memory.repeated
        return self.project(sources).select(rows)

    @abstractmethod
    def project(self, memory: Memory) -> KeyValues:
        """Make keys and values of a memory's states."""

    def init_state(self, key_values: KeyValues) -> AttentionState:
        """Return the state before the first step, of leading shape (batch, 1)."""
        return AttentionState()

    @abstractmethod
    def forward(
        self, queries: Float[Tensor, "batch queries query_dim"], key_values: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        """Take one attention step for each query, independently of the others and with its own state.

        Args:
            queries: The queries; those of row i attend to the i-th memory.
            key_values: The result of ``prepare``.
            state: The state of each query, of leading shape (batch, queries).

        Returns:
            Contexts; weights, which sum to one over the source positions and are zero on padding; and the state of each
            query after this step.
        """

    def attend_sequence(
        self, queries: Float[Tensor, "batch target query_dim"], key_values: KeyValues
    ) -> AttentionOutput:
        """Attend from all positions of each target, beginning with the initial state.

        The steps run in parallel unless the attention is sequential. The returned state is the one after the last
        position.
        """
        state = self.init_state(key_values)
        if not self.is_sequential:
            output = self(queries, key_values, state.expand_steps(queries.size(1)))
            return replace(output, state=output.state.last_query())
        outputs: list[AttentionOutput] = []
        for query in queries.split(1, dim=1):
            outputs.append(self(query, key_values, state))
            state = outputs[-1].state
        return cat_outputs(outputs)

    def attend_step(
        self, queries: Float[Tensor, "rows query_dim"], key_values: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        """Take one step of each hypothesis.

        The hypotheses of a source become the axis ``queries``, so that its memory is not copied for each of them.

        Args:
            queries: The query of each hypothesis, grouped by source, equally many for each.
            key_values: The result of ``prepare``, one row for each source.
            state: The state of each hypothesis, of leading shape (rows, 1).

        Returns:
            An output whose rows are the hypotheses, with one query each.
        """
        grid = key_values.batch_size, -1
        output = self(
            queries.unflatten(0, grid), key_values, state.map(lambda part: part.squeeze(1).unflatten(0, grid))
        )
        sample = output.sample
        return AttentionOutput(
            to_rows(output.context),
            None if output.weights is None else to_rows(output.weights),
            output.state.map(to_rows),
            None if sample is None else SampleInfo(to_rows(sample.log_prob), to_rows(sample.entropy)),
        )


def to_rows(part: Shaped[Tensor, "sources hypotheses *rest"]) -> Shaped[Tensor, "rows 1 *rest"]:
    """Put the hypotheses of all sources on the first axis, with one query each."""
    return part.flatten(0, 1)[:, None]


def cat_outputs(outputs: Sequence[AttentionOutput]) -> AttentionOutput:
    """Concatenate the outputs of consecutive steps, of which there is at least one; the state is that of the last."""
    weights = [output.weights for output in outputs if output.weights is not None]
    return AttentionOutput(
        torch.cat([output.context for output in outputs], dim=1),
        torch.cat(weights, dim=1) if weights else None,
        outputs[-1].state,
        SampleInfo.cat([output.sample for output in outputs]),
    )
