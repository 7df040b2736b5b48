"""The scores of the field: how well a query (a decoder state) fits a key (an encoder state).

====================  =======================================  =============================
``dot``               q . k                                    Luong et al. 2015
``scaled_dot``        q . k / sqrt(d)                          Vaswani et al. 2017
``cosine``            t q . k / (|q| |k|), t learned           Graves et al. 2014
``general``           q W k (bilinear)                         Luong et al. 2015
``concat``            v . tanh(W [q; k])                       Luong et al. 2015
``additive``          v . tanh(W q + U k + b) (perceptron)     Bahdanau et al. 2015
``location``          v . tanh(W q + U k + V f + b)            Chorowski et al. 2015
====================  =======================================  =============================

Dot, scaled dot and cosine compare the two vectors as they are, so where query and memory differ in size the
memory's states are projected to the query's size first, by a matrix without a bias.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from attention.scored import Score

ScoreName = Literal["dot", "scaled_dot", "cosine", "general", "concat", "additive", "location"]

Queries = Float[Tensor, "batch queries query"]
Keys = Float[Tensor, "batch source key"]
States = Float[Tensor, "batch source dim"]
Energies = Float[Tensor, "batch queries source"]
Past = Float[Tensor, "batch queries 2 source"] | None


class Dot(Score):
    """q . k"""

    def __init__(self, query_dim: int, memory_dim: int):
        super().__init__()
        same = query_dim == memory_dim
        self.project = nn.Identity() if same else nn.Linear(memory_dim, query_dim, bias=False)

    def keys(self, states: States) -> Keys:
        return self.project(states)

    def forward(self, queries: Queries, keys: Keys, past: Past = None) -> Energies:
        return queries @ keys.mT


class ScaledDot(Dot):
    """q . k / sqrt(d): keeps the softmax out of its flat ends however large d is."""

    def forward(self, queries: Queries, keys: Keys, past: Past = None) -> Energies:
        return super().forward(queries / math.sqrt(queries.size(-1)), keys)


class Cosine(Dot):
    """t q . k / (|q| |k|). A cosine lies in [-1, 1], too flat for a softmax, so a learned t sharpens it."""

    def __init__(self, query_dim: int, memory_dim: int):
        super().__init__(query_dim, memory_dim)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(10.0)))

    def keys(self, states: States) -> Keys:
        return functional.normalize(super().keys(states), dim=-1)

    def forward(self, queries: Queries, keys: Keys, past: Past = None) -> Energies:
        return super().forward(functional.normalize(queries, dim=-1) * self.log_temperature.exp(), keys)


class General(Score):
    """q W k. W is applied to the memory: once for a sentence instead of once for a word."""

    def __init__(self, query_dim: int, memory_dim: int):
        super().__init__()
        self.weight = nn.Linear(memory_dim, query_dim, bias=False)

    def keys(self, states: States) -> Keys:
        return self.weight(states)

    def forward(self, queries: Queries, keys: Keys, past: Past = None) -> Energies:
        return queries @ keys.mT


class Additive(Score):
    """v . tanh(W q + U k + b), a perceptron with one hidden layer of ``hidden_dim``."""

    def __init__(self, query_dim: int, memory_dim: int, hidden_dim: int):
        super().__init__()
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.key = nn.Linear(memory_dim, hidden_dim)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def keys(self, states: States) -> Keys:
        return self.key(states)

    def forward(self, queries: Queries, keys: Keys, past: Past = None) -> Energies:
        hidden = torch.tanh(self.query(queries)[:, :, None] + keys[:, None])  # (batch, queries, source, hidden)
        return self.v(hidden).squeeze(-1)


class LocationSensitive(Additive):
    """v . tanh(W q + U k + V f + b), with f = F * [last weights; sum of all weights].

    Two sounds of the same word have like states; what tells them apart is which one was written already. ``filters``
    convolutions F of ``width`` positions read the weights of the look before, and, as in Tacotron 2 (Shen et al.
    2018), also the sum of all looks. At the first look there are none, and f is zero.
    """

    is_sequential = True

    def __init__(self, query_dim: int, memory_dim: int, hidden_dim: int, *, filters: int = 10, width: int = 31):
        super().__init__(query_dim, memory_dim, hidden_dim)
        self.filters = nn.Conv1d(2, filters, width, padding=width // 2, bias=False)
        self.location = nn.Linear(filters, hidden_dim, bias=False)

    def forward(self, queries: Queries, keys: Keys, past: Past = None) -> Energies:
        hidden = self.query(queries)[:, :, None] + keys[:, None]  # (batch, queries, source, hidden)
        if past is not None:
            located = self.filters(past.flatten(0, 1).to(keys.dtype)).mT.unflatten(0, past.shape[:2])
            hidden = hidden + self.location(located)
        return self.v(torch.tanh(hidden)).squeeze(-1)


class Concat(Score):
    """v . tanh(W [q; k]), Luong's form: one matrix over the joined vectors, without a bias.

    The matrix is stored as one, as published, and applied in its two halves, so that the half for the memory
    is multiplied once for a sentence: W [q; k] = W_q q + W_k k.
    """

    def __init__(self, query_dim: int, memory_dim: int, hidden_dim: int):
        super().__init__()
        self.query_dim = query_dim
        self.proj = nn.Linear(query_dim + memory_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def keys(self, states: States) -> Keys:
        return functional.linear(states, self.proj.weight[:, self.query_dim :])

    def forward(self, queries: Queries, keys: Keys, past: Past = None) -> Energies:
        projected = functional.linear(queries, self.proj.weight[:, : self.query_dim])
        hidden = torch.tanh(projected[:, :, None] + keys[:, None])  # (batch, queries, source, hidden)
        return self.v(hidden).squeeze(-1)


def build_score(name: ScoreName, query_dim: int, memory_dim: int, hidden_dim: int) -> Score:
    """The score called ``name``; ``hidden_dim`` is the size of the perceptron in concat, additive and location."""
    match name:
        case "dot":
            return Dot(query_dim, memory_dim)
        case "scaled_dot":
            return ScaledDot(query_dim, memory_dim)
        case "cosine":
            return Cosine(query_dim, memory_dim)
        case "general":
            return General(query_dim, memory_dim)
        case "concat":
            return Concat(query_dim, memory_dim, hidden_dim)
        case "additive":
            return Additive(query_dim, memory_dim, hidden_dim)
        case "location":
            return LocationSensitive(query_dim, memory_dim, hidden_dim)
