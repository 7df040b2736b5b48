"""Multi-head attention (Vaswani et al. 2017): attention in several subspaces in parallel."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from attention.base import Attention, AttentionOutput
from attention.key_values import KeyValues
from attention.memory import Memory
from attention.state import AttentionState, SampleInfo


class MultiHeadAttention(Attention):
    """Projects queries, keys and values to subspaces, attends in each, and projects the concatenated contexts.

    The heads are folded into the batch, so any attention with weights can be the head, without knowing of it. The
    returned weights are the mean over the heads.
    """

    def __init__(self, head: Attention, query_dim: int, memory_dim: int, num_heads: int):
        """Wrap ``head`` for several heads.

        Args:
            head: The attention of each head, for queries of ``query_dim / num_heads`` features and memories of
                ``memory_dim / num_heads`` features.
            query_dim: Features of the queries.
            memory_dim: Features of the memory and of the context.
            num_heads: The number of heads.

        Raises:
            ValueError: if ``num_heads`` does not divide both sizes.
        """
        super().__init__()
        if query_dim % num_heads or memory_dim % num_heads:
            raise ValueError(
                f"num_heads is {num_heads}, which does not divide both the {query_dim} query features and the "
                f"{memory_dim} memory features"
            )
        self.head = head
        self.num_heads = num_heads
        self.dim = memory_dim
        self.has_state, self.is_sequential, self.has_weights = head.has_state, head.is_sequential, head.has_weights
        self.query_proj = nn.Linear(query_dim, query_dim, bias=False)
        self.key_proj = nn.Linear(memory_dim, memory_dim, bias=False)
        self.value_proj = nn.Linear(memory_dim, memory_dim, bias=False)
        self.out_proj = nn.Linear(memory_dim, memory_dim, bias=False)

    def project(self, memory: Memory) -> KeyValues:
        segment_ids = memory.segment_ids
        subspaces = Memory(
            self.split_heads(self.key_proj(memory.states)),
            memory.mask.repeat_interleave(self.num_heads, dim=0),
            self.split_heads(memory.summary[:, None]).squeeze(1),
            None if segment_ids is None else segment_ids.repeat_interleave(self.num_heads, dim=0),
        )
        key_values = self.head.prepare(subspaces)
        return replace(key_values, values=self.split_heads(self.value_proj(memory.states)), num_heads=self.num_heads)

    def init_state(self, key_values: KeyValues) -> AttentionState:
        return self.merge_state(self.head.init_state(key_values))

    def forward(
        self, queries: Float[Tensor, "batch queries query_dim"], key_values: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        return self.merge_output(self.head(self.split_queries(queries), key_values, self.split_state(state)))

    def attend_sequence(
        self, queries: Float[Tensor, "batch target query_dim"], key_values: KeyValues
    ) -> AttentionOutput:
        return self.merge_output(self.head.attend_sequence(self.split_queries(queries), key_values))

    def split_queries(self, queries: Float[Tensor, "batch length query_dim"]) -> Float[Tensor, "rows length subspace"]:
        """Project the queries, and divide them among the heads."""
        return self.split_heads(self.query_proj(queries))

    def merge_output(self, output: AttentionOutput) -> AttentionOutput:
        """Merge the heads of an output, and project their concatenated contexts."""
        context = self.out_proj(self.merge_heads(output.context))
        weights, sample = output.weights, output.sample
        if weights is not None:
            weights = weights.unflatten(0, (-1, self.num_heads)).mean(dim=1)
        if sample is not None:  # each head samples its own position
            log_probs, entropies = (
                part.unflatten(0, (-1, self.num_heads)).unbind(1) for part in (sample.log_prob, sample.entropy)
            )
            sample = SampleInfo.sum([SampleInfo(*head) for head in zip(log_probs, entropies, strict=True)])
        return AttentionOutput(context, weights, self.merge_state(output.state), sample)

    def split_heads(self, states: Float[Tensor, "batch length dim"]) -> Float[Tensor, "rows length subspace"]:
        """Move the heads from the features to the batch."""
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2).flatten(0, 1)

    def merge_heads(self, states: Float[Tensor, "rows length subspace"]) -> Float[Tensor, "batch length dim"]:
        """Invert ``split_heads``."""
        return states.unflatten(0, (-1, self.num_heads)).transpose(1, 2).flatten(2)

    def split_state(self, state: AttentionState) -> AttentionState:
        """Move the heads of a state to the batch; the step number is the same for all of them."""
        if state.step is None:
            return state
        step = state.step.repeat_interleave(self.num_heads, dim=0)
        weights = None if state.weights is None else state.weights.transpose(1, 2).flatten(0, 1)
        return AttentionState(step, weights)

    def merge_state(self, state: AttentionState) -> AttentionState:
        """Invert ``split_state``."""
        if state.step is None:
            return state
        weights = state.weights
        weights = None if weights is None else weights.unflatten(0, (-1, self.num_heads)).transpose(1, 2)
        return AttentionState(state.step.unflatten(0, (-1, self.num_heads))[:, 0], weights)
