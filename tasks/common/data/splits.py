"""Training, validation and test: their names, and whether a folder has them."""

import re
from pathlib import Path

from tasks.common.data.folders import visible_paths
from tasks.common.data.media_files import MEDIA_SUFFIXES
from tasks.common.data.table_files import TABLES

SPLITS = {"train": ("train", "train.100"), "validation": ("validation", "val", "valid", "dev"), "test": ("test",)}


def has_splits(folder: Path) -> bool:
    """Tell whether a folder has a part that is named after validation or test.

    That is a folder or a table like ``dev-clean`` or ``test-00000.parquet``, or any other file like ``test.de``. Media
    files are none, nor are the texts beside them: ``test-1.jpg`` is an image. One that is named after training alone
    has no splits: it is divided.
    """
    names = {*SPLITS["validation"], *SPLITS["test"]}
    paths = visible_paths(folder)
    media = {path.stem for path in paths if path.suffix.lower() in MEDIA_SUFFIXES}
    for path in paths:
        may_have_parts = path.is_dir() or path.suffix.lower() in TABLES
        name = re.split(r"[.-]" if may_have_parts else r"[.]", path.name)[0].lower()
        if name in names and path.stem not in media:
            return True
    return False


def split_named(file: Path) -> str | None:
    """Return the split that a file like ``val.csv`` is named after; None if it is named after none."""
    return next((split for split, names in SPLITS.items() if file.stem.lower() in names), None)


def split_folders(data: Path, split: str) -> list[Path]:
    """List the folders in ``data`` that are named after a split; none if ``data`` has no splits."""
    folders = [data / name for name in SPLITS[split]] if data.is_dir() and has_splits(data) else []
    return [folder for folder in folders if folder.is_dir()]


def unsplit_folders(data: Path) -> list[Path]:
    """List the folders that may hold all files of data without splits: that of training, and ``data`` itself."""
    folders = [data / "train", data] if data.is_dir() and not has_splits(data) else []
    return [folder for folder in folders if folder.is_dir()]
