"""Diagonals: what attention between two sequences in the same order should look like, as a loss and as a measure."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def guided_loss(
    weights: Float[Tensor, "batch target source"],
    targets: Bool[Tensor, "batch target"],
    sources: Bool[Tensor, "batch source"],
    width: int | float = 0.2,
) -> Float[Tensor, ""]:
    """Guided attention (Tachibana et al. 2018): how much weight lies off the diagonal, summed over the real targets.

    A weight at relative position n/N of the target and t/T of the source costs 1 - exp(-(n/N - t/T)^2 / 2 width^2).
    """
    off = relative(targets)[:, :, None] - relative(sources)[:, None]
    cost = 1 - torch.exp(-(off**2) / (2 * width**2))
    return (weights * cost * targets[:, :, None]).sum()


def diagonality(
    weights: Float[Tensor, "batch target source"], targets: Bool[Tensor, "batch target"]
) -> Float[Tensor, " batch"]:
    """The correlation of each target position with where its weights are on average: 1 is a clean diagonal.

    0 where there are less than two targets, or all look at the same place.
    """
    real = targets.to(weights.dtype)
    centres = weights @ torch.arange(weights.size(2), device=weights.device, dtype=weights.dtype)
    positions = torch.arange(weights.size(1), device=weights.device, dtype=weights.dtype).expand_as(centres)
    count = real.sum(dim=1, keepdim=True).clamp(min=1)
    first, second = (
        (values - (values * real).sum(dim=1, keepdim=True) / count) * real for values in (centres, positions)
    )
    scale = (first.square().sum(dim=1) * second.square().sum(dim=1)).sqrt()
    return (first * second).sum(dim=1) / scale.clamp(min=1e-6)


def relative(mask: Bool[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
    """Each position's place in its row, from 0 to nearly 1."""
    return torch.arange(mask.size(1), device=mask.device) / mask.sum(dim=1, keepdim=True).clamp(min=1)
