"""Contexts without attention weights: the summary of the memory, or nothing."""

from jaxtyping import Float
from torch import Tensor

from attention.base import Attention, AttentionOutput
from attention.key_values import KeyValues
from attention.memory import Memory
from attention.state import AttentionState


class FixedContext(Attention):
    """A fixed context vector, as in the first sequence-to-sequence models (Cho et al. 2014).

    Every query gets the summary of the memory.
    """

    has_weights = False

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def project(self, memory: Memory) -> KeyValues:
        summary = memory.summary[:, None]
        return KeyValues(summary, summary, memory.mask[:, :1])

    def forward(
        self, queries: Float[Tensor, "batch queries query_dim"], key_values: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        return AttentionOutput(key_values.values.expand(-1, queries.size(1), -1), None, state)


class NoContext(Attention):
    """No attention at all: a context of zero features.

    It turns a decoder into a language model, such as the prediction network of a transducer (Graves 2012).
    """

    dim = 0
    has_weights = False

    def project(self, memory: Memory) -> KeyValues:
        empty = memory.states[:, :1, :0]
        return KeyValues(empty, empty, memory.mask[:, :1])

    def forward(
        self, queries: Float[Tensor, "batch queries query_dim"], key_values: KeyValues, state: AttentionState
    ) -> AttentionOutput:
        return AttentionOutput(queries[..., :0], None, state)
