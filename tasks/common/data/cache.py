"""Where what was computed once is kept between runs: features of sound, spoken scenes, outputs of frozen encoders."""

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

ALONE = 400  # rows for which one process is enough


def folder() -> Path:
    """The project's cache folder, made if need be: in $XDG_CACHE_HOME, or in ~/.cache. It may be removed any time."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(home) / "multimodal-seq2seq"
    path.mkdir(parents=True, exist_ok=True)
    return path


def identity(path: Path) -> str:
    """Another text when a file is another one, by its size or time."""
    status = path.stat() if path.exists() else None
    return f"{path.resolve()} {status and (status.st_size, status.st_mtime_ns)}"


def map_files(table: Dataset, function: Callable, files: Iterable[Path], kind: str, salt: bytes) -> Dataset:
    """What ``function`` makes of batches of a table, which stands for ``files``; kept until one of them changes.

    ``kind`` begins the name of what is kept; ``salt`` is all else that it depends on.
    """
    key = hashlib.sha256(salt + "\n".join(map(identity, files)).encode())
    return table.map(
        function,
        batched=True,
        batch_size=50,
        remove_columns=table.column_names,
        num_proc=processes(len(table)),
        cache_file_name=str(folder() / f"{kind}-{key.hexdigest()[:24]}.arrow"),
    )


def processes(rows: int) -> int | None:
    """How many processes should make so many rows, as ``Dataset.map`` takes it: None for one, where few are to do."""
    count = min(os.cpu_count() or 1, rows // ALONE)
    return count if count > 1 else None


def pack(matrix: Float[np.ndarray, "length features"]) -> bytes:
    """A matrix as a column of a table holds it: in half precision, with its shape, as a .npy file would be."""
    file = io.BytesIO()
    np.save(file, matrix.astype(np.float16), allow_pickle=False)
    return file.getvalue()


def unpack(content: bytes) -> Float[np.ndarray, "length features"]:
    """The reverse of ``pack``, in single precision."""
    return np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)


def stack(matrices: Sequence[Float[np.ndarray, "_ features"]]) -> SourceBatch:
    """Matrices of several lengths as one padded batch."""
    values = pad_sequence([torch.from_numpy(matrix) for matrix in matrices], batch_first=True)
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    return SourceBatch(values, torch.arange(values.size(1)) < lengths[:, None])
