"""A Transformer encoder of any padded sequence of vectors."""

from typing import cast

from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention.config import PositionName
from attention.dropout import Dropout
from attention.memory import Memory
from attention.positions import build_positions
from attention.self_attention import FeedForward, SelfAttention
from encoders.base import SequenceEncoder
from encoders.pooling import MeanPooling


class TransformerEncoder(SequenceEncoder):
    """Layers of self-attention and feed-forward networks (Vaswani et al. 2017).

    Layer norms precede what they normalize (Wang et al. 2019), which needs no long warmup, and there is one at the end.
    The input is normalized too, so that positions are added at the same scale whatever the frontend.
    """

    def __init__(
        self,
        input_dim: int,
        dim: int,
        *,
        num_layers: int,
        num_heads: int,
        positions: PositionName,
        dropout: float,
        pooling: nn.Module | None = None,
    ):
        """``pooling``: computes the summary; the mean of the states by default."""
        super().__init__()
        self.input_proj = nn.Identity() if input_dim == dim else nn.Linear(input_dim, dim)
        self.input_norm = nn.LayerNorm(dim)
        self.positions = build_positions(positions, dim)
        self.layers = nn.ModuleList(
            TransformerEncoderLayer(dim, num_heads, rotary=positions == "rotary", dropout=dropout)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)
        self.pooling = pooling or MeanPooling()
        self.dim = dim

    def forward(self, states: Float[Tensor, "batch source features"], mask: Bool[Tensor, "batch source"]) -> Memory:
        states = self.dropout(self.positions(self.input_norm(self.input_proj(states))))
        for layer in cast("list[TransformerEncoderLayer]", self.layers):
            states = layer(states, mask)
        states = self.norm(states)
        return Memory(states, mask, self.pooling(states, mask))


class TransformerEncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a residual connection (He et al. 2016)."""

    def __init__(self, dim: int, num_heads: int, *, rotary: bool, dropout: float):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.attention = SelfAttention(dim, num_heads, rotary=rotary, dropout=dropout)
        self.feed_forward = FeedForward(dim, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self, states: Float[Tensor, "batch source dim"], mask: Bool[Tensor, "batch source"]
    ) -> Float[Tensor, "batch source dim"]:
        context, _ = self.attention(self.norms[0](states), mask=mask)
        states = states + self.dropout(context)
        return states + self.dropout(self.feed_forward(self.norms[1](states)))
