"""Location-aware attention: a score that also knows where it looked before, as speech needs it."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention.base import Lookup, Region, SoftAttention
from attention.scores import Additive


class LocationAttention(SoftAttention):
    """v . tanh(W q + U k + V f + b), with f = F * [last weights; sum of all weights] (Chorowski et al. 2015).

    Two sounds of the same word have like states; what tells them apart is which one was written already. ``filters``
    convolutions F of ``width`` positions read the weights of the look before, and, as in Tacotron 2 (Shen et al.
    2018), also the sum of all looks. At the first look there are none, and f is zero.
    """

    def __init__(
        self,
        query_dim: int,
        memory_dim: int,
        hidden_dim: int,
        *,
        filters: int = 10,
        width: int = 31,
        region: Region | None = None,
    ):
        super().__init__(Additive(query_dim, memory_dim, hidden_dim), memory_dim, region)
        self.sequential = True
        self.filters = nn.Conv1d(2, filters, width, padding=width // 2, bias=False)
        self.location = nn.Linear(filters, hidden_dim, bias=False)

    def energies(
        self,
        queries: Float[Tensor, "batch queries query"],
        lookup: Lookup,
        past: Float[Tensor, "batch queries 2 source"] | None,
    ) -> Float[Tensor, "batch queries source"]:
        additive = cast(Additive, self.score)
        hidden = additive.query(queries)[:, :, None] + lookup.keys[:, None]  # (batch, queries, source, hidden)
        if past is not None:
            located = self.filters(past.flatten(0, 1)).mT.unflatten(0, past.shape[:2])
            hidden = hidden + self.location(located)
        return additive.vector(torch.tanh(hidden)).squeeze(-1)
