"""The processes of a training run, through Accelerate."""

import atexit
import contextlib
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from torch import Tensor, nn

from tasks.common.device import find_device


class Processes:
    """This process among those of a data-parallel run.

    Attributes:
        rank: The number of this process.
        count: The number of processes.
        is_main: Whether this process writes files and prints.
        device: The device of this process.
    """

    def __init__(self, supports_mps: bool, *, uses_all_parameters: bool):
        """Join the other processes, if there are any.

        Args:
            supports_mps: Whether the model can be computed on Apple's GPUs.
            uses_all_parameters: Whether every step trains all parameters. Those that are trained may depend on the
                step, but not on the process.
        """
        synchronization = DistributedDataParallelKwargs(find_unused_parameters=not uses_all_parameters)
        # Mixed precision is torch's own, in the trainer: Accelerate fixes it for all models of a program.
        self.accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[synchronization])
        self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
        self.is_main, self.device = self.accelerator.is_main_process, find_device(supports_mps)
        if self.count > 1:
            # Threads of the process group that outlive the interpreter sometimes abort a run that has succeeded.
            atexit.register(self.accelerator.end_training)

    def wrap(self, module: nn.Module) -> nn.Module:
        """Move a module to the device, and synchronize its gradients between the processes."""
        return self.accelerator.prepare(module) if self.count > 1 else module.to(self.device)

    def broadcast_weights(self, module: nn.Module) -> None:
        """Give a module of all processes the weights of the main one, which alone loads pretrained ones."""
        if self.count > 1:
            for tensor in module.state_dict().values():
                torch.distributed.broadcast(tensor, src=0)

    def skip_synchronization(self, module: nn.Module) -> contextlib.AbstractContextManager:
        """Return a context in which the backward pass of a wrapped module synchronizes nothing."""
        return self.accelerator.no_sync(module)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.accelerator.wait_for_everyone()

    def gather(self, value: int | float) -> list[int | float]:
        """Return the ``value`` of each process."""
        if self.count == 1:
            return [value]
        dtype = torch.float64 if isinstance(value, float) else torch.long
        own = torch.tensor([value], dtype=dtype, device=self.device)
        return cast(Tensor, self.accelerator.gather(own)).tolist()

    def concatenate(self, values: list[int]) -> list[int]:
        """Return the lists of all processes as one."""
        return values if self.count == 1 else gather_object(values)

    def sum(self, value: int | float) -> int | float:
        """Return the sum of the values of all processes."""
        return sum(self.gather(value))

    def broadcast_main(self, value: float) -> float:
        """Return the main process's ``value``: decisions must be the same everywhere, and clocks are not."""
        return self.gather(value)[0]
