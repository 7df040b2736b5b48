"""Many heads (Vaswani et al. 2017): the same attention several times at once, each in a subspace of its own."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from attention.base import Attention, AttentionOutput, KeyValues, SampleInfo
from encoders.base import Memory


class MultiHeadAttention(Attention):
    """Projects queries, keys and values, lets ``head`` attend in each subspace, and joins the heads' contexts.

    The heads are folded into the batch, so any attention that weighs, with any score, can be the head and need not
    know it: it gets queries of ``query_dim / num_heads`` and memories of ``memory_dim / num_heads`` features.
    The weights shown are the heads' mean.
    """

    def __init__(self, head: Attention, query_dim: int, memory_dim: int, num_heads: int):
        super().__init__()
        if query_dim % num_heads or memory_dim % num_heads:
            raise ValueError(
                f"{num_heads} heads do not divide the decoder's {query_dim} and the encoder's {memory_dim} features; "
                "choose --attention.num-heads that divides both"
            )
        self.head = head
        self.num_heads = num_heads
        self.dim = memory_dim
        self.has_state, self.is_sequential = head.has_state, head.is_sequential
        self.query = nn.Linear(query_dim, query_dim, bias=False)
        self.key = nn.Linear(memory_dim, memory_dim, bias=False)
        self.value = nn.Linear(memory_dim, memory_dim, bias=False)
        self.joined = nn.Linear(memory_dim, memory_dim, bias=False)

    def start(self, memory: Memory) -> KeyValues:
        folded = Memory(
            self.split_heads(self.key(memory.states)),
            memory.mask.repeat_interleave(self.num_heads, dim=0),
            self.split_heads(memory.summary[:, None]).squeeze(1),
            None if memory.segments is None else memory.segments.repeat_interleave(self.num_heads, dim=0),
        )
        lookup = self.head.start(folded)
        return replace(lookup, values=self.split_heads(self.value(memory.states)), heads=self.num_heads)

    def attend(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: KeyValues,
        past: Float[Tensor, "batch queries heads 2 source"] | None = None,
    ) -> AttentionOutput:
        own = None if past is None else past.transpose(1, 2).flatten(0, 1)
        glance = self.head.attend(self.split_heads(self.query(queries)), lookup, own)
        context = self.joined(self.merge_heads(glance.context))
        weights, past = (
            None if each is None else each.unflatten(0, (-1, self.num_heads)) for each in (glance.weights, glance.past)
        )
        weights = None if weights is None else weights.mean(dim=1)
        sample = glance.sample
        if sample is not None:  # each head draws for itself
            heads = [part.unflatten(0, (-1, self.num_heads)).unbind(1) for part in sample.parts()]
            sample = SampleInfo.together([SampleInfo(*head) for head in zip(*heads, strict=True)])
        return AttentionOutput(context, weights, None if past is None else past.transpose(1, 2), sample)

    def split_heads(self, states: Float[Tensor, "batch length dim"]) -> Float[Tensor, "rows length subspace"]:
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2).flatten(0, 1)

    def merge_heads(self, states: Float[Tensor, "rows length subspace"]) -> Float[Tensor, "batch length dim"]:
        return states.unflatten(0, (-1, self.num_heads)).transpose(1, 2).flatten(2)
