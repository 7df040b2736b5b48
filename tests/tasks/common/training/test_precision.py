"""Mixed precision: bfloat16 by itself only where a device is faster in it."""

import contextlib

import pytest
import torch

from tasks.common.errors import UsageError
from tasks.common.training.precision import autocast, check_precision, computes_bfloat16, resolve_precision

CPU = torch.device("cpu")


def dtype_in(precision: str) -> torch.dtype:
    """The number format of a product of matrices."""
    with autocast(precision, CPU):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        ({"avx512_f": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": True, "avx512_fp16": True, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": True, "avx512_fp16": True, "amx_bf16": False}, torch.float32),
        ({"avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_is_bfloat16_where_the_cpu_is_faster_in_it(features, dtype, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert dtype_in("auto") == dtype
    assert dtype_in("no") == torch.float32 and dtype_in("bf16") == torch.bfloat16


def test_apples_gpus_stay_in_float32():
    assert not computes_bfloat16(torch.device("mps"))


@pytest.mark.parametrize("supported", [True, False])
def test_auto_is_bfloat16_on_a_gpu_that_computes_in_it(supported, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    assert resolve_precision("auto", torch.device("cuda:1")) == ("bf16" if supported else "no")
    assert resolve_precision("fp16", torch.device("cuda:1")) == "fp16"


def test_float16_needs_a_gpu():
    with pytest.raises(UsageError, match=r"^train\.precision is fp16, which needs a GPU; .* bf16 or no"):
        check_precision("train.precision", "fp16", CPU)
    for precision in ("no", "bf16", "auto"):
        check_precision("train.precision", precision, CPU)
