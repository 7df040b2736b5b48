"""Dropout whose random numbers are cheap on a CPU."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 2**16  # values of the random numbers that decide what is dropped


class Dropout(nn.Dropout):
    """Dropout (Srivastava et al. 2014), as a module."""

    def forward(self, input: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return dropout(input, self.p) if self.training else input


def dropout(values: Float[Tensor, "*shape"], p: float) -> Float[Tensor, "*shape"]:
    """Set each value to zero with probability ``p``, and scale the others so that the mean stays.

    On a CPU, PyTorch draws a number of 53 bits for each value, which takes longer than most other operations on it.
    Here one number of 64 bits decides on four values, so ``p`` is rounded to a multiple of 1 / 65,536; what is kept is
    scaled by the rounded share.
    """
    num_kept = round(LEVELS * (1 - p))  # of the levels
    if values.device.type != "cpu" or num_kept in (0, LEVELS):
        return functional.dropout(values, p)
    count = values.numel()
    random = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    is_kept = random[:count].view(values.shape) < num_kept - LEVELS // 2
    return values * (is_kept.to(values.dtype) * (LEVELS / num_kept))
