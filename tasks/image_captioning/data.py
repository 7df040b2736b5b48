"""Pictures with their captions: where they are found, and which of them can't be used."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Image, Value
from jaxtyping import Float

from tasks import cache
from tasks.data import SPLITS, read_metadata, read_table, report_bad_rows
from tasks.errors import UsageError, unknown
from tasks.handwriting import drawn_scenes
from tasks.image_captioning.images import PictureError, problem
from tasks.scenes import describe

VERSION = 1  # of the checks whose results are kept on disk
ALONE = 500  # rows for which one process is enough
CAPTIONS = ("captions", "caption", "text", "sentences")  # columns that data sets keep captions in


def find_scenes(split: str, count: int) -> Dataset:
    """The embedded world in the form of ``find``: ``count`` pictures for training, fewer for validation and test."""
    number = {"train": count, "validation": -(-count // 20), "test": -(-count // 16)}[split]
    chosen, table = drawn_scenes(split, number)
    pictures = [{"path": path, "bytes": content} for path, content in zip(table["path"], table["bytes"], strict=True)]
    return Dataset.from_dict({"picture": pictures, "captions": [describe(scene, "en") for scene in chosen]})


def find(data: str, split: str, column: str) -> Dataset:
    """Columns picture (path or bytes) and captions of a split, nothing read yet. Raises UsageError if there is none."""
    folder = Path(data)
    for name in SPLITS[split]:
        table = read_metadata(folder / name)
        if table is not None:
            paths = [{"path": path, "bytes": None} for path in table["file_name"]]
            return grouped(paths, captions_of(table, column, f"{folder / name}"))
    for listing in [folder, folder / "dataset.json", *sorted(folder.glob("dataset_*.json"))]:
        of_datasets = listing.name == "dataset_dict.json"  # the library's, not Karpathy's
        if listing.suffix == ".json" and listing.is_file() and not of_datasets:
            return karpathy(listing, split)
    for name in SPLITS[split]:
        for listing in sorted((folder / "annotations").glob(f"captions_{name}*.json")):
            return coco(listing)
    table = read_table(data, split)
    if table is None:
        raise UsageError(
            f"--data {data} has no {split} split: neither {split}/metadata.jsonl or .csv with a column file_name, nor "
            f"dataset.json (Karpathy's), nor annotations/captions_{split}*.json (COCO's), nor a table"
        )
    captions = captions_of(table, column, data)
    picture = next((name for name, kind in table.features.items() if isinstance(kind, Image)), None)
    if picture is not None:
        return grouped(list(table.cast_column(picture, Image(decode=False))[picture]), captions)
    if "file_name" not in table.column_names:
        raise UsageError(f"--data {data} has no column of pictures; it has {', '.join(table.column_names)}")
    return grouped([{"path": str(folder / str(file)), "bytes": None} for file in table["file_name"]], captions)


def captions_of(table: Dataset, column: str, where: str) -> list[Any]:
    """Each row's captions: of ``column``, of one that is usual, or of several like caption_0, caption_1."""
    names = table.column_names
    if column not in names and column == CAPTIONS[0]:
        column = next((name for name in CAPTIONS if name in names), column)
    if column in names:
        return list(table[column])
    numbered = [name for name in names if re.fullmatch(rf"{column.removesuffix('s')}_\d+", name)]
    if numbered:
        return [list(given) for given in zip(*(table[name] for name in numbered), strict=True)]
    raise unknown("column", column, names, f"--caption names that of {where}")


def grouped(pictures: list[dict[str, Any]], captions: list[Any]) -> Dataset:
    """A row a picture: where a file is named in several rows, they are one picture with several captions."""
    rows: dict[Any, tuple[dict[str, Any], list[Any]]] = {}
    for number, (picture, given) in enumerate(zip(pictures, captions, strict=True)):
        key = number if picture["path"] is None or picture["bytes"] else picture["path"]
        several = list(given) if isinstance(given, (list, tuple)) else [given]
        texts = [caption.get("raw") if isinstance(caption, dict) else caption for caption in several]
        rows.setdefault(key, (picture, []))[1].extend(
            text if isinstance(text, str) else "" if text is None else str(text) for text in texts
        )
    return Dataset.from_dict(
        {"picture": [picture for picture, _ in rows.values()], "captions": [given for _, given in rows.values()]}
    )


def karpathy(listing: Path, split: str) -> Dataset:
    """The splits of Karpathy & Fei-Fei 2015, one file for all of them; COCO's restval belongs to training."""
    splits = (*SPLITS[split], "restval") if split == "train" else SPLITS[split]
    images = [image for image in read_json(listing, "images") if image.get("split") in splits]
    if not images:
        raise UsageError(f"{listing} has no pictures of the {split} split")
    places = [listing.parent, *(listing.parent / name for name in ("images", "Images", "imgs", "Flicker8k_Dataset"))]

    def path(image: dict[str, Any]) -> str:
        inner = Path(image.get("filepath", "")) / image["filename"]
        return str(next((place / inner for place in places if (place / inner).is_file()), places[0] / inner))

    pictures = [{"path": path(image), "bytes": None} for image in images]
    return grouped(pictures, [[sentence["raw"] for sentence in image["sentences"]] for image in images])


def coco(listing: Path) -> Dataset:
    """COCO's captions (Chen et al. 2015): annotations/captions_train2017.json beside the folder train2017."""
    names = {image["id"]: image["file_name"] for image in read_json(listing, "images")}
    folder = listing.parent.parent / listing.stem.removeprefix("captions_")
    captions: dict[Any, list[str]] = {identity: [] for identity in names}
    for annotation in read_json(listing, "annotations"):
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    pictures = [{"path": str(folder / names.get(identity, "?")), "bytes": None} for identity in captions]
    return grouped(pictures, list(captions.values()))


def read_json(listing: Path, key: str) -> list[dict[str, Any]]:
    try:
        return json.loads(listing.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{listing} is no caption file: {key} can't be read from it ({error!r})") from error


def checked(table: Dataset, where: str, skip_bad: bool) -> Dataset:
    """``table`` with a column width, a region's features where pictures are features and 0 elsewhere; bad rows are
    told all at once, and left out if they may be. Raises UsageError."""
    key = hashlib.sha256(f"{VERSION} {[identity(picture) for picture in table['picture']]}".encode()).hexdigest()[:24]
    processes = min(os.cpu_count() or 1, len(table) // ALONE)
    found = table.select_columns(["picture"]).map(
        look_through,
        remove_columns=["picture"],
        features=Features({"width": Value("int32"), "problem": Value("string")}),
        cache_file_name=str(cache.folder() / f"pictures-{key}.arrow"),
        new_fingerprint=key,
        num_proc=processes if processes > 1 else None,
    )
    usual = next((width for width, bad in zip(found["width"], found["problem"], strict=True) if not bad), 0)
    problems = {}
    columns = zip(table["picture"], table["captions"], found["width"], found["problem"], strict=True)
    for row, (picture, captions, width, wrong) in enumerate(columns):
        if not wrong and width != usual:
            wrong = f"has {width} features a region where the others have {usual} (0: pixels)"
        if not wrong and not any(caption.strip() for caption in captions):
            wrong = "has no caption"
        if wrong:
            problems[row] = f"({Path(picture['path'] or '?').name}) {wrong}"
    report_bad_rows(problems, len(table), where, skip_bad)
    good = [row for row in range(len(table)) if row not in problems]
    if not good:
        raise UsageError(f"{where}: no row is left to use")
    widths = found.select(good)["width"]
    return table.select(good).add_column("width", list(widths))


def look_through(row: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a picture, or the features that stand for it, can be read."""
    path = row["picture"]["path"]
    if path and path.endswith(".npy"):
        try:
            return {"width": read_regions(path).shape[1], "problem": ""}
        except PictureError as error:
            return {"width": 0, "problem": str(error)}
    return {"width": 0, "problem": problem(content(row["picture"])) or ""}


def content(picture: Mapping[str, Any]) -> str | bytes:
    """What ``open_picture`` takes of a row's picture."""
    return picture["path"] if picture["bytes"] is None else picture["bytes"]


def identity(picture: Mapping[str, Any]) -> str:
    """Changes with the file's size or time, or with the bytes that the table holds itself."""
    if picture["bytes"] is not None:
        return hashlib.sha256(picture["bytes"]).hexdigest()
    file = Path(picture["path"])
    status = file.stat() if file.is_file() else None
    return f"{file.resolve()} {status and (status.st_size, status.st_mtime_ns)}"


def read_regions(path: str) -> Float[np.ndarray, "regions features"]:
    """Features made elsewhere, (regions, features), or a grid of them. Raises PictureError for anything else."""
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise PictureError("does not exist") from None
    except (ValueError, OSError, EOFError) as error:
        raise PictureError(f"is no .npy file that can be read ({error})") from error
    if values.ndim not in (2, 3) or not np.issubdtype(values.dtype, np.floating) or not values.size:
        raise PictureError(f"holds {values.dtype} of shape {values.shape}; (regions, features) is expected")
    if not np.isfinite(values).all():
        raise PictureError("holds numbers that are not finite")
    return values.reshape(-1, values.shape[-1]).astype(np.float32)
