"""Self-attention: the states of a sequence look at each other (Vaswani et al. 2017)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from attention.positions import apply_rotary

KVCache = tuple[Float[Tensor, "rows heads _ _"], Float[Tensor, "rows heads _ _"]]  # keys and values so far


class SelfAttention(nn.Module):
    """softmax(Q K' / sqrt(d)) V, with many heads; Q, K and V are projections of the same states.

    The product, softmax and sum are PyTorch's own, which on a GPU, and anywhere without dropout, is a fused kernel that
    never writes the weights down.
    """

    def __init__(self, dim: int, num_heads: int, *, rotary: bool = False, dropout: float = 0.0):
        """Raises ValueError where the heads do not divide ``dim`` (into even parts, if ``rotary``)."""
        if dim % num_heads or (rotary and dim // num_heads % 2):
            parts = "even parts" if rotary else "equal parts"
            raise ValueError(
                f"{num_heads} heads do not cut a self-attention of {dim} features into {parts}: choose another "
                "--encoder.num-heads or --decoder.num-heads"
            )
        super().__init__()
        self.num_heads = num_heads
        self.rotary = rotary
        self.dropout = dropout
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.joined = nn.Linear(dim, dim, bias=False)

    def forward(
        self,
        states: Float[Tensor, "rows length dim"],
        *,
        mask: Bool[Tensor, "rows length"] | None = None,
        causal: bool = False,
        past: KVCache | None = None,
    ) -> tuple[Float[Tensor, "rows length dim"], KVCache]:
        """``mask``: which are real. ``causal``: each sees none after it. ``past``: of those before."""
        queries, keys, values = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in self.project(states).chunk(3, dim=-1)
        )
        if self.rotary:
            first = 0 if past is None else past[0].size(2)
            queries, keys = apply_rotary(queries, first), apply_rotary(keys, first)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        seen = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=None if mask is None else mask[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal and past is None,
        )
        return self.joined(seen.transpose(1, 2).flatten(2)), (keys, values)


class FeedForward(nn.Module):
    """What a Transformer does with each state by itself: one hidden layer, four times as wide."""

    def __init__(self, dim: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Float[Tensor, "rows length dim"]) -> Float[Tensor, "rows length dim"]:
        return self.fc2(self.dropout(functional.relu(self.fc1(states))))
