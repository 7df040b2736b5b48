"""What can be said of an alignment in a number, for each sentence: how sharp, how complete, how much in order."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Weights = Float[Tensor, "batch target source"]
Targets = Bool[Tensor, "batch target"]


def entropy(weights: Weights, targets: Targets) -> Float[Tensor, " batch"]:
    """The mean entropy of a look, in bits: 0 is a single position, log2 n is n of them alike."""
    bits = torch.special.entr(weights).sum(dim=-1) / torch.tensor(2.0).log()
    return mean(bits, targets)


def coverage(weights: Weights, targets: Targets, sources: Bool[Tensor, "batch source"]) -> Float[Tensor, " batch"]:
    """The share of the source that was looked at: of each position its weights' sum, but no more than one."""
    looks = (weights * targets[:, :, None]).sum(dim=1).clamp(max=1)  # (batch, source)
    return mean(looks, sources)


def diagonality(weights: Weights, targets: Targets) -> Float[Tensor, " batch"]:
    """The correlation of each target position with where its weights are on average: 1 is a clean diagonal.

    0 where there are less than two targets, or all look at the same place.
    """
    real = targets.to(weights.dtype)
    centres = weights @ torch.arange(weights.size(2), device=weights.device, dtype=weights.dtype)
    positions = torch.arange(weights.size(1), device=weights.device, dtype=weights.dtype).expand_as(centres)
    first, second = ((values - mean(values, targets)[:, None]) * real for values in (centres, positions))
    scale = (first.square().sum(dim=1) * second.square().sum(dim=1)).sqrt()
    return (first * second).sum(dim=1) / scale.clamp(min=1e-6)


def mean(values: Float[Tensor, "batch length"], real: Bool[Tensor, "batch length"]) -> Float[Tensor, " batch"]:
    return (values * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
