"""Attention that leaves nothing out: what a picture's description should do, as a loss."""

from jaxtyping import Bool, Float
from torch import Tensor


def doubly_stochastic_loss(
    weights: Float[Tensor, "batch target source"],
    targets: Bool[Tensor, "batch target"],
    sources: Bool[Tensor, "batch source"],
) -> Float[Tensor, ""]:
    """The squares of what each source position lacks of a whole look, over the real targets (Xu et al. 2015).

    A sentence's weights sum to one at each word; this asks that they sum to one at each source position as well.
    """
    looks = (weights * targets[:, :, None]).sum(dim=1)  # (batch, source)
    return ((1 - looks).square() * sources).sum()
