"""The diagonal: what attention between two sequences in the same order should look like, as a loss."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def guided_attention_loss(
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


def relative(mask: Bool[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
    """Each position's place in its row, from 0 to nearly 1."""
    return torch.arange(mask.size(1), device=mask.device) / mask.sum(dim=1, keepdim=True).clamp(min=1)
