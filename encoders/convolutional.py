"""Convolutions over any padded sequence of vectors, in place of a recurrence."""

import math

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from attention.positions import Learned
from encoders.base import Memory, SequenceEncoder
from encoders.pooling import MeanPooling


class ConvS2SEncoder(SequenceEncoder):
    """Gated convolutions with residual connections, and learned positions (Gehring et al. 2017, ConvS2S).

    A layer of ``width`` 3 sees one state to either side, n layers n states; all of a sequence is computed at once.
    """

    def __init__(
        self,
        input_dim: int,
        dim: int,
        *,
        num_layers: int,
        dropout: float,
        width: int = 3,
        pooling: nn.Module | None = None,
    ):
        super().__init__()
        self.project = nn.Linear(input_dim, dim)
        self.positions = Learned(dim)
        self.layers = nn.ModuleList(nn.Conv1d(dim, 2 * dim, width, padding=width // 2) for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)
        self.pooling = pooling or MeanPooling()
        self.dim = dim

    def forward(self, states: Float[Tensor, "batch source features"], mask: Bool[Tensor, "batch source"]) -> Memory:
        states = self.positions(self.project(states)).mT  # (batch, dim, source)
        for layer in self.layers:
            seen = functional.glu(layer(self.dropout(states) * mask[:, None]), dim=1)
            states = (states + seen) * math.sqrt(0.5)
        return Memory(states.mT, mask, self.pooling(states.mT, mask))
