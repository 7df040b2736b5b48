"""The cache folder: results computed once and kept between runs, such as features, rendered scenes, encoder outputs."""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from jaxtyping import Float
from torch.nn.utils.rnn import pad_sequence

from encoders.base import SourceBatch

ROWS_PER_PROCESS = 400  # with fewer rows another process is not worth starting


def cache_dir() -> Path:
    """Return the project's cache folder, in $XDG_CACHE_HOME or ~/.cache, and make it if necessary.

    It may be removed at any time.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(home) / "multimodal-seq2seq"
    path.mkdir(parents=True, exist_ok=True)
    return path


def file_key(path: Path) -> str:
    """Return a text that changes with a file's path, size or modification time."""
    status = path.stat() if path.exists() else None
    return f"{path.resolve()} {status and (status.st_size, status.st_mtime_ns)}"


def map_files(table: Dataset, function: Callable, files: Iterable[Path], kind: str, salt: bytes) -> Dataset:
    """Map a function over batches of a table made from files; the result is cached until one of the files changes.

    Args:
        table: The table, which depends on ``files`` alone.
        function: Makes new columns of a batch of rows; the old ones are removed.
        files: The files.
        kind: The beginning of the cached file's name.
        salt: Everything else that the result depends on.
    """
    key = hashlib.sha256(salt + "\n".join(map(file_key, files)).encode())
    return table.map(
        function,
        batched=True,
        batch_size=50,
        remove_columns=table.column_names,
        num_proc=num_processes(len(table)),
        cache_file_name=str(cache_dir() / f"{kind}-{key.hexdigest()[:24]}.arrow"),
    )


def num_processes(num_rows: int) -> int | None:
    """Return the number of processes worth starting for so many rows, as ``Dataset.map`` takes it: None for one."""
    count = min(os.cpu_count() or 1, num_rows // ROWS_PER_PROCESS)
    return count if count > 1 else None


def pack_array(matrix: Float[np.ndarray, "length features"]) -> bytes:
    """Pack a matrix into bytes for a table's column: in half precision, in the .npy format."""
    file = io.BytesIO()
    np.save(file, matrix.astype(np.float16), allow_pickle=False)
    return file.getvalue()


def unpack_array(content: bytes) -> Float[np.ndarray, "length features"]:
    """Unpack a matrix that ``pack_array`` packed, in single precision."""
    return np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)


def pad_arrays(matrices: Sequence[Float[np.ndarray, "_ features"]]) -> SourceBatch:
    """Pad matrices of several lengths into one batch."""
    values = pad_sequence([torch.from_numpy(matrix) for matrix in matrices], batch_first=True)
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    return SourceBatch(values, torch.arange(values.size(1)) < lengths[:, None])
