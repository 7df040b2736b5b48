"""Auxiliary losses on attention weights, added to the likelihood in training."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Weights = Float[Tensor, "batch target source"]
TargetMask = Bool[Tensor, "batch target"]
SourceMask = Bool[Tensor, "batch source"]


def guided_attention_loss(
    weights: Weights, target_mask: TargetMask, source_mask: SourceMask, std: int | float = 0.2
) -> Float[Tensor, ""]:
    """Penalize weights off the diagonal, summed over the real targets (Tachibana et al. 2018).

    A weight at the relative positions n/N of the target and t/T of the source costs
    1 - exp(-(n/N - t/T)^2 / (2 std^2)).
    """
    distance = relative_positions(target_mask)[:, :, None] - relative_positions(source_mask)[:, None]
    cost = 1 - torch.exp(-(distance**2) / (2 * std**2))
    return (weights * cost * target_mask[:, :, None]).sum()


def relative_positions(mask: Bool[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
    """Return positions divided by the length of their row: from 0 up to, but not including, 1."""
    return torch.arange(mask.size(1), device=mask.device) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def doubly_stochastic_loss(weights: Weights, target_mask: TargetMask, source_mask: SourceMask) -> Float[Tensor, ""]:
    """Penalize source positions whose weights do not sum to one over the real targets (Xu et al. 2015).

    The loss is (1 - sum)^2, summed over the real source positions. At each target the weights sum to one by definition.
    """
    totals = (weights * target_mask[:, :, None]).sum(dim=1)  # (batch, source)
    return ((1 - totals).square() * source_mask).sum()


def coverage_loss(weights: Weights, target_mask: TargetMask) -> Float[Tensor, ""]:
    """Penalize attending again to the same positions, summed over the real targets (See et al. 2017).

    Each position costs the minimum of its weight and the sum of its earlier weights.
    """
    earlier = weights.cumsum(dim=1) - weights
    return (weights.minimum(earlier) * target_mask[:, :, None]).sum()


@dataclass(frozen=True)
class AttentionLossWeights:
    """Weights of the auxiliary losses: guided attention, doubly stochastic attention and coverage."""

    guidance: float = 0.0
    doubly_stochastic: float = 0.0
    coverage: float = 0.0

    def __call__(self, weights: Weights, target_mask: TargetMask, source_mask: SourceMask) -> Float[Tensor, ""]:
        """Return the weighted sum of the losses, zero if none has a weight."""
        loss = weights.new_zeros(())
        if self.guidance:
            loss = loss + self.guidance * guided_attention_loss(weights, target_mask, source_mask)
        if self.doubly_stochastic:
            loss = loss + self.doubly_stochastic * doubly_stochastic_loss(weights, target_mask, source_mask)
        if self.coverage:
            loss = loss + self.coverage * coverage_loss(weights, target_mask)
        return loss


NO_ATTENTION_LOSSES = AttentionLossWeights()
