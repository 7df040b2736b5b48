"""Arrays as bytes in the rows of tables, and padded to batches."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.utils.rnn import pad_sequence

from encoders.base import SourceBatch


def pack_array(matrix: Float[np.ndarray, "length features"]) -> bytes:
    """Pack a matrix into bytes for a table's column, in the .npy format: in half precision, if its range suffices."""
    file = io.BytesIO()
    with np.errstate(over="ignore"):
        half = matrix.astype(np.float16)
    np.save(file, half if np.isfinite(half).all() else matrix, allow_pickle=False)
    return file.getvalue()


def unpack_array(content: bytes) -> Float[np.ndarray, "length features"]:
    """Unpack a matrix that ``pack_array`` packed, in single precision."""
    return np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)


def pad_arrays(matrices: Sequence[Float[np.ndarray, "_ features"]]) -> SourceBatch:
    """Pad matrices of several lengths into one batch."""
    values = pad_sequence([torch.from_numpy(matrix) for matrix in matrices], batch_first=True)
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    return SourceBatch(values, torch.arange(values.size(1)) < lengths[:, None])
