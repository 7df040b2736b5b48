"""Pooling: a padded sequence of states summarized in one vector, from which a decoder starts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from encoders.config import PoolingName

States = Float[Tensor, "batch source dim"]
Mask = Bool[Tensor, "batch source"]


class MeanPooling(nn.Module):
    """The mean of the real states; zero for a row without any."""

    def forward(self, states: States, mask: Mask) -> Float[Tensor, "batch dim"]:
        real = mask[..., None].to(states.dtype)
        return (states * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


class AttentivePooling(nn.Module):
    """The mean of the states, weighted by softmax(v · tanh(W h)) with learned v and W (Lin et al. 2017)."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, 1, bias=False)

    def forward(self, states: States, mask: Mask) -> Float[Tensor, "batch dim"]:
        scores = self.v(torch.tanh(self.proj(states))).squeeze(-1)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1).to(states.dtype)
        return (weights[:, None] @ states).squeeze(1)


def build_pooling(name: PoolingName, dim: int) -> nn.Module | None:
    """Build the pooling of states of ``dim`` features; None for ``default``, with which an encoder uses its own."""
    return AttentivePooling(dim) if name == "attentive" else None
