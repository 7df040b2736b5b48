"""Media files as sources of rows: a path, or the content where a table holds it."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from tasks.common.data import cache
from tasks.common.data.folders import is_utf8
from tasks.common.data.npy import read_npy
from tasks.common.data.tar_members import TarMember
from tasks.common.errors import OneLineError

if TYPE_CHECKING:
    import datasets

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
VIDEO_SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mpg", ".mov", ".m4v", ".gif")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac")
FEATURE_SUFFIX = ".npy"  # features of any of them
MEDIA_SUFFIXES = {*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *AUDIO_SUFFIXES, FEATURE_SUFFIX}


class MediaError(OneLineError):
    """An unusable media file. The message says what is wrong, to be printed after the file's name."""


def file_features() -> "dict[str, datasets.Value]":
    """Return the types of the source of a row: see ``file_source``."""
    import datasets

    return {"path": datasets.Value("string"), "bytes": datasets.Value("binary")}


def file_source(path: str | Path) -> dict[str, Any]:
    """Return the path of a file as the source of a row, or its content where the path is not UTF-8.

    Tables hold no other text; such a name, as old archives have it, is made readable for messages.
    """
    if is_utf8(path):
        return {"path": str(path), "bytes": None}
    name = os.fsencode(path).decode("utf-8", "replace")
    return {"path": name, "bytes": Path(path).read_bytes() if Path(path).is_file() else None}


def file_content(file: Mapping[str, Any]) -> str | bytes:
    """Return the content of a row's file where it is in the table or in a tar file, and otherwise its path."""
    if file["bytes"] is not None:
        return file["bytes"]
    member = TarMember.parse(file["path"])
    return file["path"] if member is None else member.read()


def media_key(file: Mapping[str, Any]) -> str:
    """Return a text that changes with the file's path, size or modification time, or with the content in the table."""
    if file["bytes"] is not None:
        return hashlib.sha256(file["bytes"]).hexdigest()
    return path_key(file["path"])


def path_key(path: str) -> str:
    """Return a text that changes with a file's path, size or modification time; in a tar file with those of that."""
    member = TarMember.parse(path)
    return cache.file_key(Path(path)) if member is None else f"{cache.file_key(member.tar)} {path!a}"


def load_array(path: str) -> np.ndarray:
    """Load an array of any kind and shape from a .npy file. Raises MediaError if that is not possible."""
    try:
        return read_npy(path)
    except FileNotFoundError:
        raise MediaError("does not exist") from None
    except (ValueError, OSError, EOFError) as error:
        raise MediaError(f"is not a readable .npy file ({error})") from error


def read_feature_array(path: str, unit: str) -> Float[np.ndarray, "states features"]:
    """Read a .npy file of features: (``unit``, features), or a grid of feature vectors, which is flattened.

    Raises:
        MediaError: the file holds anything else.
    """
    values = load_array(path)
    if values.ndim not in (2, 3) or not np.issubdtype(values.dtype, np.floating) or not values.size:
        raise MediaError(f"holds {values.dtype} of shape {values.shape}; ({unit}, features) is expected")
    return to_finite_floats(values.reshape(-1, values.shape[-1]))


def to_finite_floats(values: np.ndarray) -> Float[np.ndarray, "*shape"]:
    """Convert numbers to single precision. Raises MediaError if some are not finite there."""
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise MediaError("holds numbers that are not finite in single precision")
    return values
