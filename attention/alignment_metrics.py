"""Measures of an alignment, one number for each sentence: sharpness, completeness and order."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Weights = Float[Tensor, "batch target source"]
TargetMask = Bool[Tensor, "batch target"]
SourceMask = Bool[Tensor, "batch source"]


def entropy(weights: Weights, target_mask: TargetMask) -> Float[Tensor, " batch"]:
    """Return the mean entropy of the weights, in bits: 0 for a single position, log2 n for n equal ones."""
    bits = torch.special.entr(weights).sum(dim=-1) / torch.tensor(2.0).log()
    return masked_mean(bits, target_mask)


def coverage(weights: Weights, target_mask: TargetMask, source_mask: SourceMask) -> Float[Tensor, " batch"]:
    """Return the attended share of the source: the mean over its positions of their total weights, at most one each."""
    totals = (weights * target_mask[:, :, None]).sum(dim=1).clamp(max=1)  # (batch, source)
    return masked_mean(totals, source_mask)


def diagonality(weights: Weights, target_mask: TargetMask) -> Float[Tensor, " batch"]:
    """Return the correlation of target positions and mean source positions: 1 for a clean diagonal.

    It is 0 where there are fewer than two targets, or where all have the same mean source position.
    """
    is_real = target_mask.to(weights.dtype)
    centers = weights @ torch.arange(weights.size(2), device=weights.device, dtype=weights.dtype)
    positions = torch.arange(weights.size(1), device=weights.device, dtype=weights.dtype).expand_as(centers)
    first, second = ((values - masked_mean(values, target_mask)[:, None]) * is_real for values in (centers, positions))
    scale = (first.square().sum(dim=1) * second.square().sum(dim=1)).sqrt()
    return (first * second).sum(dim=1) / scale.clamp(min=1e-6)


def masked_mean(values: Float[Tensor, "batch length"], mask: Bool[Tensor, "batch length"]) -> Float[Tensor, " batch"]:
    """Return the mean over the real positions."""
    return (values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
