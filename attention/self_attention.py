"""Self-attention and the feed-forward network: the two parts of a Transformer layer (Vaswani et al. 2017)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import Dropout
from attention.positions import apply_rotary

KVCache = tuple[Float[Tensor, "rows heads _ _"], Float[Tensor, "rows heads _ _"]]  # keys and values so far


class SelfAttention(nn.Module):
    """softmax(Q K' / sqrt(d)) V with several heads, where Q, K and V are projections of the same states.

    It uses PyTorch's fused kernel, which does not materialize the weights on a GPU, nor on a CPU without dropout.
    """

    def __init__(self, dim: int, num_heads: int, *, rotary: bool = False, dropout: float = 0.0):
        """Set up the projections.

        Args:
            dim: Features of the states.
            num_heads: The number of heads.
            rotary: Use rotary positions, see ``positions.apply_rotary``.
            dropout: Dropout probability of the weights.

        Raises:
            ValueError: if ``num_heads`` does not divide ``dim``, or, with ``rotary``, not into even numbers.
        """
        if dim % num_heads or (rotary and dim // num_heads % 2):
            parts = "even parts, as rotary positions need" if rotary else "equal parts"
            raise ValueError(f"num_heads is {num_heads}, which does not divide the dimension {dim} into {parts}")
        super().__init__()
        self.num_heads = num_heads
        self.rotary = rotary
        self.dropout = dropout
        self.qkv_proj = nn.Linear(dim, 3 * dim, bias=False)
        self.out_proj = nn.Linear(dim, dim, bias=False)

    def forward(
        self,
        states: Float[Tensor, "rows length dim"],
        *,
        mask: Bool[Tensor, "rows length"] | None = None,
        causal: bool = False,
        kv_cache: KVCache | None = None,
    ) -> tuple[Float[Tensor, "rows length dim"], KVCache]:
        """Attend from each state to all states.

        Args:
            states: The states.
            mask: True for real states; None: all are real.
            causal: Exclude the states after each state.
            kv_cache: Keys and values of earlier states, to be attended to as well. ``states`` then has length 1 if
                ``causal``.

        Returns:
            The new states, and the cache with their keys and values.
        """
        queries, keys, values = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in self.qkv_proj(states).chunk(3, dim=-1)
        )
        if self.rotary:
            offset = 0 if kv_cache is None else kv_cache[0].size(2)
            queries, keys = apply_rotary(queries, offset), apply_rotary(keys, offset)
        if kv_cache is not None:
            keys, values = torch.cat([kv_cache[0], keys], dim=2), torch.cat([kv_cache[1], values], dim=2)
        contexts = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=None if mask is None else mask[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal and kv_cache is None,
        )
        return self.out_proj(contexts.transpose(1, 2).flatten(2)), (keys, values)


class FeedForward(nn.Module):
    """The position-wise network of a Transformer layer: one hidden layer, four times as wide."""

    def __init__(self, dim: int, dropout: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, states: Float[Tensor, "rows length dim"]) -> Float[Tensor, "rows length dim"]:
        return self.fc2(self.dropout(functional.relu(self.fc1(states))))
