"""A convolutional encoder of any padded sequence of vectors."""

import math

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import Dropout
from attention.memory import Memory
from attention.positions import build_positions
from encoders.base import SequenceEncoder
from encoders.pooling import MeanPooling


class ConvS2SEncoder(SequenceEncoder):
    """Gated convolutions with residual connections and learned positions (Gehring et al. 2017, ConvS2S).

    With a ``kernel_size`` of 3 a stack of n layers covers n states to either side, all positions in parallel.
    """

    def __init__(
        self,
        input_dim: int,
        dim: int,
        *,
        num_layers: int,
        dropout: float,
        kernel_size: int = 3,
        pooling: nn.Module | None = None,
    ):
        """``pooling``: computes the summary; the mean of the states by default."""
        super().__init__()
        self.input_proj = nn.Linear(input_dim, dim)
        self.positions = build_positions("learned", dim)
        self.layers = nn.ModuleList(
            nn.Conv1d(dim, 2 * dim, kernel_size, padding=kernel_size // 2) for _ in range(num_layers)
        )
        self.dropout = Dropout(dropout)
        self.pooling = pooling or MeanPooling()
        self.dim = dim

    def forward(self, states: Float[Tensor, "batch source features"], mask: Bool[Tensor, "batch source"]) -> Memory:
        states = self.positions(self.input_proj(states)).mT  # (batch, dim, source)
        for layer in self.layers:
            update = functional.glu(layer(self.dropout(states) * mask[:, None]), dim=1)
            states = (states + update) * math.sqrt(0.5)
        return Memory(states.mT, mask, self.pooling(states.mT, mask))
