"""Locality: biases towards some source positions. Global attention has none.

====================  ==========================================================  ====================
``local_m``           a window of D positions around the target position t        Luong et al. 2015
``local_p``           a Gaussian in a window of D positions around a predicted    Luong et al. 2015
                      position
``monotonic``         a Gaussian around a position that only moves forward        Tjandra et al. 2017
====================  ==========================================================  ====================

The papers multiply the weights with a Gaussian after the softmax; here its logarithm is added before. So the weights
still sum to one, and a window cannot make all of them vanish.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from attention.config import LocalityName
from attention.scored import Locality, at_least_float32
from attention.state import AttentionState

Queries = Float[Tensor, "batch queries query_dim"]
Mask = Bool[Tensor, "batch source"]
LogWeights = Float[Tensor, "batch queries source"]
Centers = Shaped[Tensor, "#batch queries 1"]  # positions from 0 to the last real one, integers or not


class LocalM(Locality):
    """local-m (Luong et al. 2015): step t attends to the positions from t - D to t + D, D being ``half_width``.

    It assumes that source and target are roughly in the same order, at the same pace.
    """

    has_state = True

    def __init__(self, half_width: int | float):
        """``half_width``: D, in encoder states."""
        super().__init__()
        self.half_width = half_width

    def forward(self, queries: Queries, mask: Mask, state: AttentionState) -> LogWeights:
        assert state.step is not None
        centers = torch.minimum(state.step[..., None], last_position(mask))
        return window_mask(centers, mask, self.half_width)


class LocalP(Locality):
    """local-p (Luong et al. 2015): a window around the predicted position S sigmoid(v . tanh(W q)).

    S is the last position. Inside the window of D positions (``half_width``) on each side, a Gaussian with standard
    deviation D / 2 favors its center.
    """

    def __init__(self, query_dim: int, hidden_dim: int, half_width: int | float):
        """``half_width``: D, in encoder states."""
        super().__init__()
        self.half_width = half_width
        self.query = nn.Linear(query_dim, hidden_dim, bias=False)
        self.position = nn.Linear(hidden_dim, 1, bias=False)

    def forward(self, queries: Queries, mask: Mask, state: AttentionState) -> LogWeights:
        fraction = torch.sigmoid(self.position(torch.tanh(self.query(queries))))  # (batch, queries, 1)
        centers = last_position(mask) * at_least_float32(fraction)
        return window_mask(centers, mask, self.half_width) + gaussian(centers, mask, self.half_width / 2)


class MonotonicGaussian(Locality):
    """A Gaussian whose center only moves forward (after Tjandra et al. 2017).

    The center is the mean position of the last step's weights plus exp(v . tanh(W q + b)), and -1 takes the place of
    the mean position at the first step. At initialization each step thus moves by about one position.
    """

    has_state = True
    is_sequential = True

    def __init__(self, query_dim: int, hidden_dim: int, half_width: int | float):
        """``half_width``: twice the standard deviation of the Gaussian, in encoder states."""
        super().__init__()
        self.half_width = half_width
        self.query = nn.Linear(query_dim, hidden_dim)
        self.stride = nn.Linear(hidden_dim, 1, bias=False)

    def forward(self, queries: Queries, mask: Mask, state: AttentionState) -> LogWeights:
        assert state.step is not None
        stride = self.stride(torch.tanh(self.query(queries))).exp()  # (batch, queries, 1)
        last_centers = (state.last_weights * positions(mask)).sum(dim=-1)
        last_centers = last_centers.masked_fill(state.step == 0, -1.0)[..., None]
        centers = torch.minimum(last_centers + at_least_float32(stride), last_position(mask))
        return gaussian(centers, mask, self.half_width / 2)


def positions(mask: Mask) -> Int[Tensor, " source"]:
    """Return the indices of the source positions."""
    return torch.arange(mask.size(1), device=mask.device)


def last_position(mask: Mask) -> Int[Tensor, "batch 1 1"]:
    """Return the index of each sentence's last real state."""
    return mask.sum(dim=1)[:, None, None] - 1


def window_mask(centers: Centers, mask: Mask, half_width: int | float) -> LogWeights:
    """Return 0 up to ``half_width`` positions from the center and -inf beyond; the nearest position always gets 0."""
    is_outside = (positions(mask) - centers).abs() > max(half_width, 0.5)
    return torch.zeros_like(is_outside, dtype=torch.float32).masked_fill(is_outside, float("-inf"))


def gaussian(centers: Centers, mask: Mask, std: float) -> LogWeights:
    """Return the logarithm of a Gaussian with the value 1 at its center."""
    return -((positions(mask) - centers) ** 2) / (2 * std**2)


def build_locality(name: LocalityName, query_dim: int, hidden_dim: int, half_width: int | float) -> Locality:
    """Build the locality called ``name``.

    Args:
        name: One of ``LocalityName``.
        query_dim: Features of the queries.
        hidden_dim: Hidden units of the perceptron that predicts a position or a stride.
        half_width: Half-width of the window, in encoder states.
    """
    match name:
        case "local_m":
            return LocalM(half_width)
        case "local_p":
            return LocalP(query_dim, hidden_dim, half_width)
        case "monotonic":
            return MonotonicGaussian(query_dim, hidden_dim, half_width)
