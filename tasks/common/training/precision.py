"""Mixed precision: the number formats that a model computes in."""

import torch

from tasks.common.errors import UsageError

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
CPU_FEATURES = ("avx512_bf16", "amx_bf16")  # instructions that multiply in bfloat16


def computes_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies in bfloat16 by itself, not by way of float32, which would be slower."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(features.get(name, False) for name in CPU_FEATURES)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision in which a device computes: bf16 or no, where it is auto."""
    if precision != "auto":
        return precision
    return "bf16" if computes_bfloat16(device) else "no"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which operations run in ``precision`` where that is safe.

    Args:
        precision: bf16 or fp16; auto for bf16 on a device that computes in it; no for float32.
        device: The device that they run on.
    """
    dtype = AUTOCAST_DTYPES.get(resolve_precision(precision, device))
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def check_precision(setting: str, precision: str, device: torch.device) -> None:
    """Raise UsageError if a device can't compute in the ``precision`` that a setting chooses."""
    if precision == "fp16" and device.type == "cpu":
        raise UsageError(f"{setting} is fp16, which needs a GPU; on a CPU set it to bf16 or no")
