"""The size of the model that a run folder describes, held against its weights before anything is allocated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from tasks.common.errors import UsageError
from tasks.common.training.checkpoints import count_weights

# Parts of a pretrained model that are not used are built and dropped, and so are matrices that are tied afterwards.
UNUSED_SHARE = 4
SLACK = 1 << 24  # numbers that weights do not hold, such as position encodings
MODULE_SIZE = 1 << 10  # numbers for which a module itself takes as much memory


class NoInitialValues(TorchFunctionMode):
    """Leaves out the initialization of tensors on ``meta``, for which torch would import its compiler, in seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return kwargs["tensor"] if getattr(func, "__module__", None) == nn.init.__name__ else func(*args, **kwargs)


@contextmanager
def sized_like(weights: Path) -> Iterator[None]:
    """Build a model without memory for its tensors, and stop once it is far larger than its weights.

    What is built inside has tensors on the device ``meta``: it is only good for being dropped.

    Raises:
        UsageError: if the model is too large for the file of its weights, or if the file is missing or broken.
    """
    limit = UNUSED_SHARE * count_weights(weights) + SLACK
    total = 0

    def add(size: int) -> None:
        nonlocal total
        total += size
        if total > limit:
            raise UsageError(
                f"{weights} has far fewer numbers than the model that config.json and vocabulary.json describe: "
                "restore the files that belong together"
            )

    def add_tensor(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        add(0 if tensor is None else tensor.numel())

    def add_module(module: nn.Module, name: str, inner: nn.Module | None) -> None:
        add(MODULE_SIZE)

    hooks = (
        register_module_parameter_registration_hook(add_tensor),
        register_module_buffer_registration_hook(add_tensor),
        register_module_module_registration_hook(add_module),
    )
    try:
        with torch.device("meta"), NoInitialValues():
            yield
    finally:
        for hook in hooks:
            hook.remove()
