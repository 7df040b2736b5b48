"""Mixed precision: the number formats that a model computes in."""

import torch

from tasks.common.errors import UsageError

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which operations run in ``precision`` (bf16 or fp16) where that is safe; no: in float32."""
    dtype = AUTOCAST_DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def check_precision(setting: str, precision: str, device: torch.device) -> None:
    """Raise UsageError if a device can't compute in the ``precision`` that a setting chooses."""
    if precision == "fp16" and device.type == "cpu":
        raise UsageError(f"{setting} is fp16, which needs a GPU; on a CPU set it to bf16 or no")
