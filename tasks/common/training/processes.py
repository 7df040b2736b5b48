"""The processes of a training run, which synchronize their weights and gradients, through Accelerate."""

import contextlib

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from tasks.common.device import find_device
from tasks.common.processes import Processes


class TrainingProcesses(Processes):
    """This process among those of a data-parallel run.

    Attributes:
        device: The device of this process.
    """

    def __init__(self, supports_mps: bool, *, uses_all_parameters: bool):
        """Join the other processes, if there are any.

        Args:
            supports_mps: Whether the model can be computed on Apple's GPUs.
            uses_all_parameters: Whether every step trains all parameters. Those that are trained may depend on the
                step, but not on the process.
        """
        super().__init__()
        synchronization = DistributedDataParallelKwargs(find_unused_parameters=not uses_all_parameters)
        # Mixed precision is torch's own, in the trainer: Accelerate fixes it for all models of a program.
        self.accelerator = Accelerator(mixed_precision="no", kwargs_handlers=[synchronization])
        self.device = find_device(supports_mps)

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
