"""Operators of torch that are translated to ONNX in another way than by its exporter."""

from typing import Any

import torch

NUM_DOUBLINGS = 16  # sums of up to 65,536 terms
LOWEST = torch.finfo(torch.float32).min


def log_cumsum_exp(self: Any, dim: int) -> Any:
    """Translate ``logcumsumexp``: sums of two terms, of two such sums, and so on (Hillis & Steele 1986).

    The exporter's own form, the logarithm of a cumulative sum of exponentials, overflows.
    """
    from onnxscript import opset18

    op: Any = opset18  # its types allow no result of one operator as the input of another
    axis, zero = op.Constant(value_ints=[dim]), op.Constant(value_ints=[0])
    nothing, lowest = (op.CastLike(op.Constant(value_float=value), self) for value in (float("-inf"), LOWEST))
    sums = self
    for power in range(NUM_DOUBLINGS):
        shift = op.Constant(value_ints=[2**power])
        earlier = op.Slice(op.Pad(sums, op.Concat(shift, zero, axis=0), nothing, axis), zero, op.Neg(shift), axis)
        peaks = op.Max(sums, earlier, lowest)  # finite, since the difference of two infinities is no number
        sums = op.Add(peaks, op.Log(op.Add(op.Exp(op.Sub(sums, peaks)), op.Exp(op.Sub(earlier, peaks)))))
    return sums


TRANSLATIONS: dict[Any, Any] = {torch.ops.aten.logcumsumexp.default: log_cumsum_exp}
