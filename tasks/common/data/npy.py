"""Arrays in .npy files, whose headers are held against their size before they are read."""

import io
import math
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(source: str | Path | bytes) -> np.ndarray:
    """Read an array from a path or from the content of a file, behind which more may follow.

    Raises:
        ValueError: it holds anything else: objects, which only pickle can restore, an archive, or less than its header
            says.
        OSError: it can't be read.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        check_header(file)
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)


def check_header(file: io.BufferedIOBase) -> None:
    """Compare the header of an array with what follows. Raises ValueError if that is less."""
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"its version is {version[0]}.{version[1]}; allowed are 1.0 and 2.0")
    try:
        shape, _, dtype = HEADERS[version](file)
    except (OSError, ValueError):
        raise
    except Exception as error:  # it is parsed as Python, whose parser and tokenizer raise several types
        raise ValueError("its header is broken") from error
    if dtype.hasobject:
        raise ValueError("it holds objects, which are never read")
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    if math.prod(shape) * max(1, dtype.itemsize) > size:
        raise ValueError(f"its header tells of {dtype} of shape {shape}, and {size:,} bytes follow")
