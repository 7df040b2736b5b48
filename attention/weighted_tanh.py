"""The weighted sum of tanh units, in the memory of their inputs."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

CHUNK_SIZE = 2**18  # numbers that are processed together: as many as stay in a CPU's cache


def weigh_tanh(hidden: Float[Tensor, "*pairs hidden"], weight: Float[Tensor, "1 hidden"]) -> Float[Tensor, "*pairs"]:
    """Return v . tanh(x) for the hidden units x of each pair of a query and a key, and the ``weight`` v.

    It is the last layer of the additive score (Bahdanau et al. 2015).

    On a CPU it is computed as v . (2 sigmoid(2 x) - 1), because PyTorch's sigmoid takes a tenth of the time of its tanh
    there, and with as many hidden units as these the tanh would take longer than the products. The difference of two
    large numbers would be too coarse in half precision. The units are the largest tensor of a step, and new memory is
    slow: that of ``hidden`` becomes that of the sigmoids, and then that of the gradient. So it must have been computed
    for this call, and must not be used again.
    """
    if hidden.device.type != "cpu" or hidden.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return functional.linear(torch.tanh(hidden), weight).squeeze(-1)
    if torch.is_grad_enabled() and hidden.requires_grad:
        return _WeighTanh.apply(hidden, weight)
    return _weigh_sigmoids(hidden.mul_(2).sigmoid_(), weight)


def chunk_rows(hidden: Float[Tensor, "rows *pairs hidden"]) -> int:
    """Return the rows that are processed together."""
    return max(1, CHUNK_SIZE * hidden.size(0) // max(1, hidden.numel()))


def _weigh_sigmoids(sigmoids: Tensor, weight: Tensor) -> Tensor:
    """Return v . (2 s - 1)."""
    return 2 * functional.linear(sigmoids, weight).squeeze(-1) - weight.sum()


class _WeighTanh(torch.autograd.Function):
    """See :func:`weigh_tanh`."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor) -> Tensor:
        for chunk in hidden.split(chunk_rows(hidden)):
            chunk.mul_(2).sigmoid_()
        ctx.sigmoids = hidden.detach()
        ctx.save_for_backward(weight)
        return _weigh_sigmoids(hidden, weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (grad,) = grad_outputs
        (weight,) = ctx.saved_tensors
        gradient = ctx.sigmoids
        if gradient is None:
            raise RuntimeError("the hidden units were overwritten by their gradient; no second time is possible")
        ctx.sigmoids = None
        grad_weight = 2 * (grad.reshape(1, -1) @ gradient.flatten(0, -2)) - grad.sum()
        rows, scaled_weight = chunk_rows(gradient), 4 * weight[0]
        for chunk, scale in zip(gradient.split(rows), grad[..., None].split(rows), strict=True):
            chunk.addcmul_(chunk, chunk, value=-1).mul_(scaled_weight).mul_(scale)  # d/dx of 2 s(2 x) is 4 s (1 - s)
        return gradient, grad_weight
