"""Media that are objects of the program, as the path or the content of a file."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from tasks.common.data.limits import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from tasks.common.errors import UsageError

SAMPLE_RATE_HZ = 16_000  # of sound whose rate is not given


def file_of_value(value: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of an input and its file: a dictionary with its ``path`` or, as ``bytes``, its content.

    Args:
        value: The name of a file or a web address; the content of a file, or a file open for reading it; a PIL image;
            or an array: samples of sound at 16 kHz (samples,), or with their rate as a pair (samples, rate in Hz); the
            pixels of an image (height, width, 3) or of a video (frames, height, width, 3), 0 to 255.

    Raises:
        UsageError: for anything else.
    """
    match value:
        case str() | Path():
            return str(value), {"path": str(value), "bytes": None}
        case bytes() | bytearray() | memoryview():
            return f"{len(value):,} bytes", {"path": None, "bytes": bytes(value)}
        case Image.Image():
            return "image", {"path": None, "bytes": encode_image(value)}
        case np.ndarray():
            return f"array of shape {value.shape}", {"path": None, "bytes": encode_array(value)}
        case (np.ndarray() as samples, int() as rate):
            content = encode_sound(samples, rate)
            return f"sound of {len(samples) / rate:.1f} s", {"path": None, "bytes": content}
        case _ if hasattr(value, "read"):
            return str(getattr(value, "name", "file")), {"path": None, "bytes": value.read()}
    raise UsageError(
        f"an input is {type(value).__name__}; allowed are a path, bytes, a file, a PIL image, an array, or a pair of "
        "samples and their rate"
    )


def encode_array(array: np.ndarray) -> bytes:
    """Write an array as the content of a file. Raises UsageError for one that is no sound, image or video."""
    if array.ndim == 1:
        return encode_sound(array, SAMPLE_RATE_HZ)
    if array.dtype == np.uint8 and array.ndim in (3, 4) and array.shape[-1] == 3:
        return encode_image(Image.fromarray(array)) if array.ndim == 3 else encode_npy(array)
    raise UsageError(
        f"an input is an array of {array.dtype} with the shape {array.shape}; allowed are samples (samples,), and "
        "pixels of uint8 as (height, width, 3) or (frames, height, width, 3)"
    )


def encode_sound(samples: np.ndarray, rate: int) -> bytes:
    """Write samples (samples,) or (samples, channels) with their rate in Hz as the content of a WAV file.

    Raises:
        UsageError: they are not samples, or their rate is out of bounds.
    """
    if not MIN_SAMPLE_RATE_HZ <= rate <= MAX_SAMPLE_RATE_HZ:
        raise UsageError(f"an input is sound of {rate} Hz; allowed are {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz")
    is_integer = samples.dtype in (np.int16, np.int32)
    if samples.ndim not in (1, 2) or not (is_integer or np.issubdtype(samples.dtype, np.floating)):
        raise UsageError(
            f"an input is sound as an array of {samples.dtype} with the shape {samples.shape}; allowed are int16, "
            "int32 and floats, as (samples,) or (samples, channels)"
        )
    file = io.BytesIO()
    with np.errstate(over="ignore"):  # the reader of the file refuses samples that are not finite
        samples = samples if is_integer else samples.astype(np.float32)
    try:
        soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16" if samples.dtype == np.int16 else "FLOAT")
    except soundfile.LibsndfileError as error:
        raise UsageError(f"an input is sound of the shape {samples.shape}, which no file holds ({error})") from error
    return file.getvalue()


def encode_image(image: Image.Image) -> bytes:
    """Write an image as the content of a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def encode_npy(array: np.ndarray) -> bytes:
    """Write an array as the content of a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
