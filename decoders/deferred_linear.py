"""Linear maps in a loop over time, whose weight gradients are computed once, after the loop."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


class DeferredGradLinear:
    """``linear(x, weight, bias)`` for the steps of one teacher-forced pass.

    Differentiated directly, a loop multiplies a narrow gradient by a narrow input at every step and adds a whole matrix
    to the weight's gradient each time. Concatenating the inputs and gradients of all steps makes it one wide product.
    To get there, the output at step t is added to a slice of a tensor that holds nothing but the bias. The gradient of
    that tensor is the gradient of the outputs at all steps, and is multiplied by the inputs recorded during the loop.
    """

    def __init__(self, num_steps: int):
        self.num_steps = num_steps
        # For each weight, by its storage and shape: the detached weight, the inputs so far, the slices of the biases.
        self.maps: dict[tuple[int, torch.Size], tuple[Tensor, list[Tensor], tuple[Tensor, ...]]] = {}

    def __call__(
        self, inputs: Float[Tensor, "rows features"], weight: Float[Tensor, "out features"], bias: Tensor | None = None
    ) -> Float[Tensor, "rows out"]:
        key = weight.data_ptr(), weight.shape
        if key not in self.maps:
            recorded: list[Tensor] = []
            biases = inputs.new_zeros(self.num_steps, inputs.size(0), weight.size(0))
            biases = biases if bias is None else biases + bias
            self.maps[key] = weight.detach(), recorded, _WeightGradient.apply(biases, weight, recorded).unbind(0)
        detached, recorded, slices = self.maps[key]
        recorded.append(inputs.detach())
        return functional.linear(inputs, detached) + slices[len(recorded) - 1]


class _WeightGradient(torch.autograd.Function):
    """The identity on ``biases`` (steps, rows, out), whose backward pass computes the weight's gradient from the
    gradient of all steps and the ``recorded`` inputs."""

    @staticmethod
    def forward(ctx: Any, biases: Tensor, weight: Tensor, recorded: list[Tensor]) -> Tensor:
        ctx.recorded = recorded
        return biases.view_as(biases)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (gradient,) = grad_outputs
        inputs = torch.cat(ctx.recorded).to(gradient.dtype)
        return gradient, gradient.flatten(0, 1).T @ inputs, None
