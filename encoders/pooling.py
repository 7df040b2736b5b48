"""A sequence as one vector: the summary from which a decoder starts."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

States = Float[Tensor, "batch source dim"]
Mask = Bool[Tensor, "batch source"]
PoolingName = Literal["own", "attentive"]


class MeanPooling(nn.Module):
    """The mean of the real states; zero where there are none."""

    def forward(self, states: States, mask: Mask) -> Float[Tensor, "batch dim"]:
        real = mask[..., None].to(states.dtype)
        return (states * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


class AttentivePooling(nn.Module):
    """The sum of the states by the softmax of v . tanh(W h): which of them matter is learned (Lin et al. 2017)."""

    def __init__(self, dim: int):
        super().__init__()
        self.hidden = nn.Linear(dim, dim)
        self.vector = nn.Linear(dim, 1, bias=False)

    def forward(self, states: States, mask: Mask) -> Float[Tensor, "batch dim"]:
        energies = self.vector(torch.tanh(self.hidden(states))).squeeze(-1)
        weights = energies.masked_fill(~mask, float("-inf")).softmax(dim=-1).to(states.dtype)
        return (weights[:, None] @ states).squeeze(1)


def build_pooling(name: PoolingName, dim: int) -> nn.Module | None:
    """None for ``own``: what the encoder makes its summary of when left to itself."""
    return AttentivePooling(dim) if name == "attentive" else None
