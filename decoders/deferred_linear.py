"""Linear maps in a loop over time, whose weights get their gradient once, after the loop."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


class DeferredGradLinear:
    """``linear(x, weight, bias)`` for the steps of one teacher-forced pass.

    Differentiated as written, a loop multiplies a narrow gradient with a narrow input at every step, and adds a whole
    matrix to the weight's gradient each time. All steps' inputs and gradients side by side make it one wide product.
    The map's output at step t gets a slice of a tensor that holds nothing but the bias; the gradient of that tensor
    is the outputs' gradient at all steps, and is met there by the inputs, noted on the way.
    """

    def __init__(self, steps: int):
        self.steps = steps
        self.maps: dict[tuple[int, torch.Size], tuple[Tensor, list[Tensor], tuple[Tensor, ...]]] = {}

    def __call__(
        self, inputs: Float[Tensor, "rows features"], weight: Float[Tensor, "out features"], bias: Tensor | None = None
    ) -> Float[Tensor, "rows out"]:
        key = weight.data_ptr(), weight.shape
        if key not in self.maps:
            noted: list[Tensor] = []
            blank = inputs.new_zeros(self.steps, inputs.size(0), weight.size(0))
            blank = blank if bias is None else blank + bias
            self.maps[key] = weight.detach(), noted, _Meeting.apply(blank, weight, noted).unbind(0)
        fixed, noted, slices = self.maps[key]
        noted.append(inputs.detach())
        return functional.linear(inputs, fixed) + slices[len(noted) - 1]


class _Meeting(torch.autograd.Function):
    """Passes ``blank`` (steps, rows, out) on; backward, what was ``noted`` meets its gradient to make the weight's."""

    @staticmethod
    def forward(ctx: Any, blank: Tensor, weight: Tensor, noted: list[Tensor]) -> Tensor:
        ctx.noted = noted
        return blank.view_as(blank)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        (gradient,) = grad_outputs
        inputs = torch.cat(ctx.noted).to(gradient.dtype)
        return gradient, gradient.flatten(0, 1).T @ inputs, None
