"""Attention that does not look at the same again, as a loss: what is written twice was looked at twice."""

from jaxtyping import Bool, Float
from torch import Tensor


def coverage_loss(
    weights: Float[Tensor, "batch target source"], targets: Bool[Tensor, "batch target"]
) -> Float[Tensor, ""]:
    """How much of each look falls where looks fell before, summed over the real targets (See et al. 2017).

    Of each position the smaller one counts: its weight now, or the sum of its weights before.
    """
    before = weights.cumsum(dim=1) - weights
    return (weights.minimum(before) * targets[:, :, None]).sum()
