"""Mixed precision: the number formats that a model computes in."""

import torch

from tasks.common.errors import UsageError

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def computes_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies in bfloat16 faster than in float32.

    A CPU does so with AMX, or with AVX-512 if that is all it was made for. Those that also have AVX-512 FP16 were made
    for AMX: where a virtual machine hides it, bfloat16 took twice the time of float32 (docs/log.md).
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    has_amx, has_avx512, is_made_for_amx = (
        features.get(name, False) for name in ("amx_bf16", "avx512_bf16", "avx512_fp16")
    )
    return has_amx or (has_avx512 and not is_made_for_amx)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the precision in which a device computes: bf16 or no, where it is auto."""
    if precision != "auto":
        return precision
    return "bf16" if computes_bfloat16(device) else "no"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which operations run in ``precision`` where that is safe.

    Args:
        precision: bf16 or fp16; auto for bf16 on a device that is faster in it; no for float32.
        device: The device that they run on.
    """
    dtype = AUTOCAST_DTYPES.get(resolve_precision(precision, device))
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def check_precision(setting: str, precision: str, device: torch.device) -> None:
    """Raise UsageError if a device can't compute in the ``precision`` that a setting chooses."""
    if precision == "fp16" and device.type == "cpu":
        raise UsageError(f"{setting} is fp16, which needs a GPU; on a CPU set it to bf16 or no")
