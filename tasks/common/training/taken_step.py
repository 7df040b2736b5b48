"""A step that was taken, whose numbers are read on the host while the device computes the next one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.common.training.batches import StepBatches


class HostCopy:
    """A copy of a tensor on the host. Making it does not wait for the device; reading it does, and then has little to
    wait for."""

    def __init__(self, values: Tensor):
        is_asynchronous = values.device.type == "cuda"
        self.values = values.detach().to("cpu", non_blocking=is_asynchronous)  # into pinned memory
        self.is_copied = torch.cuda.Event() if is_asynchronous else None
        if self.is_copied is not None:
            self.is_copied.record()

    def tolist(self) -> list[float]:
        """Return the numbers as soon as they are copied."""
        if self.is_copied is not None:
            self.is_copied.synchronize()
        return self.values.tolist()


@dataclass(frozen=True)
class TakenStep:
    """A step that was taken.

    Attributes:
        number: The number of the step, from 1.
        batches: Its batches.
        numbers: The loss and the negative log-likelihood of this process's batches, summed over their tokens; the norm
            of the gradients of all processes; and the scale of the next loss, for float16.
    """

    number: int
    batches: StepBatches
    numbers: HostCopy
