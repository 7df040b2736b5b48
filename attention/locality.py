"""Areas: where a query may look at all. Global attention needs none of them.

====================  ==========================================================  ====================
``local_m``           within D of the position t of the word that is written      Luong et al. 2015
``local_p``           a Gaussian around, and within D of, a position that the     Luong et al. 2015
                      query predicts
``monotonic``         a Gaussian around a position that moves on, never back      Tjandra et al. 2017
====================  ==========================================================  ====================

The papers multiply their Gaussian behind the softmax; here its logarithm is added before. So weights still sum to
one, and a window can't make all of them vanish.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from attention.scored import Locality

Queries = Float[Tensor, "batch queries query"]
Mask = Bool[Tensor, "batch source"]
Past = Float[Tensor, "batch queries 2 source"] | None
LogWeights = Float[Tensor, "batch queries source"]
Centres = Shaped[Tensor, "#batch queries 1"]  # positions, from 0 to the last real one, and not only whole ones

LocalityName = Literal["local_m", "local_p", "monotonic"]


class LocalM(Locality):
    """local-m: source and target run side by side, so the t-th word looks at the positions from t - D to t + D."""

    has_state = True

    def __init__(self, width: int | float):
        """``width``: D, in states of the encoder."""
        super().__init__()
        self.width = width

    def forward(self, queries: Queries, mask: Mask, past: Past) -> LogWeights:
        if past is None:
            looks = torch.arange(queries.size(1), device=mask.device)[:, None]
        else:
            looks = past[:, :, 1].sum(dim=-1, keepdim=True).round()  # each of them weighed one in all
        return window_mask(torch.minimum(looks, last_position(mask)), mask, self.width)


class LocalP(Locality):
    """local-p: a Gaussian of deviation D / 2, cut off at D, around S sigmoid(v . tanh(W q)), S the last position."""

    def __init__(self, query_dim: int, hidden_dim: int, width: int | float):
        """``width``: D, in states of the encoder."""
        super().__init__()
        self.width = width
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.position = nn.Linear(hidden_dim, 1, bias=False)

    def forward(self, queries: Queries, mask: Mask, past: Past) -> LogWeights:
        share = torch.sigmoid(self.position(torch.tanh(self.query(queries))))  # (batch, queries, 1)
        centre = last_position(mask) * at_least_float32(share)
        return window_mask(centre, mask, self.width) + gaussian(centre, mask, self.width / 2)


class MonotonicGaussian(Locality):
    """A window that moves on with every look, and never back.

    Its centre is where the last look was on average, plus exp(v . tanh(W q)) positions, so one at the start of
    training and whatever the query asks for later. A Gaussian whose deviation is half of ``width`` weighs the
    score down outside of it.
    """

    has_state = True
    is_sequential = True

    def __init__(self, query_dim: int, hidden_dim: int, width: int | float):
        super().__init__()
        self.width = width
        self.query = nn.Linear(query_dim, hidden_dim)
        self.stride = nn.Linear(hidden_dim, 1, bias=False)

    def forward(self, queries: Queries, mask: Mask, past: Past) -> LogWeights:
        stride = self.stride(torch.tanh(self.query(queries))).exp()  # (batch, queries, 1)
        before = -1.0 if past is None else (past[:, :, 0] * positions(mask)).sum(dim=-1, keepdim=True)
        return gaussian(torch.minimum(before + at_least_float32(stride), last_position(mask)), mask, self.width / 2)


def at_least_float32(numbers: Tensor) -> Tensor:
    """In float32 at least: half precision cannot count beyond some hundred positions."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def positions(mask: Mask) -> Int[Tensor, " source"]:
    return torch.arange(mask.size(1), device=mask.device)


def last_position(mask: Mask) -> Int[Tensor, "batch 1 1"]:
    """The position of each sentence's last real state."""
    return mask.sum(dim=1)[:, None, None] - 1


def window_mask(centre: Centres, mask: Mask, width: int | float) -> LogWeights:
    """0 up to ``width`` positions from the centre, or at the nearest position if that is farther; -inf beyond."""
    far = (positions(mask) - centre).abs() > max(width, 0.5)
    return torch.zeros_like(far, dtype=torch.float32).masked_fill(far, float("-inf"))


def gaussian(centre: Centres, mask: Mask, deviation: float) -> LogWeights:
    """The logarithm of a Gaussian with the value 1 at its centre."""
    return -((positions(mask) - centre) ** 2) / (2 * deviation**2)


def build_locality(name: LocalityName, query_dim: int, hidden_dim: int, width: int | float) -> Locality:
    """The region called ``name``; ``hidden_dim`` is the size of the perceptron by which a query moves it."""
    match name:
        case "local_m":
            return LocalM(width)
        case "local_p":
            return LocalP(query_dim, hidden_dim, width)
        case "monotonic":
            return MonotonicGaussian(query_dim, hidden_dim, width)
