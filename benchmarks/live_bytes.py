"""The most bytes of new tensors that are alive at one time during a computation."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operations make, until they are freed. What an operation uses inside is not counted.

    Attributes:
        live: Bytes that are alive now.
        peak: The most bytes at any time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.alive: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = {
            tensor.untyped_storage()._cdata for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)
        }
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given | self.alive:
                storage = tensor.untyped_storage()
                self.alive.add(storage._cdata)
                self.live += storage.nbytes()
                weakref.finalize(storage, self.release, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def release(self, key: int, num_bytes: int) -> None:
        """Note that a storage has been freed."""
        self.alive.discard(key)
        self.live -= num_bytes


def measure_peak_bytes(function: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes at one time of tensors made during a call; on a GPU as its allocator counts them."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    with LiveBytes() as counter:
        function()
    return counter.peak
