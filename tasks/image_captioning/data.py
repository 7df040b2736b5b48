"""Pictures with their captions: where they are found, and which of them can't be used."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, Image

from tasks.common.data.captioned_media import (
    MediaError,
    ProbeResult,
    captions_of,
    file_content,
    group_captions,
    read_captioned_folder,
    read_feature_array,
    read_listing,
)
from tasks.common.data.images import image_problem
from tasks.common.data.tables import SPLITS, read_table
from tasks.common.errors import UsageError
from tasks.toy_world.images import toy_images
from tasks.toy_world.scenes import describe


def find_scenes(split: str, count: int) -> Dataset:
    """The embedded world in the form of ``find``: ``count`` pictures for training, fewer for validation and test."""
    number = {"train": count, "validation": -(-count // 20), "test": -(-count // 16)}[split]
    chosen, table = toy_images(split, number)
    pictures = [{"path": path, "bytes": content} for path, content in zip(table["path"], table["bytes"], strict=True)]
    return Dataset.from_dict({"source": pictures, "captions": [describe(scene, "en") for scene in chosen]})


def find(data: str, split: str, column: str) -> Dataset:
    """Columns source (path or bytes) and captions of a split, nothing read yet. Raises UsageError if there is none."""
    folder = Path(data)
    own = read_captioned_folder(data, split, column)
    if own is not None:
        return own
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
        return group_captions(list(table.cast_column(picture, Image(decode=False))[picture]), captions)
    if "file_name" not in table.column_names:
        raise UsageError(f"--data {data} has no column of pictures; it has {', '.join(table.column_names)}")
    return group_captions([{"path": str(folder / str(file)), "bytes": None} for file in table["file_name"]], captions)


def karpathy(listing: Path, split: str) -> Dataset:
    """The splits of Karpathy & Fei-Fei 2015, one file for all of them; COCO's restval belongs to training."""
    splits = (*SPLITS[split], "restval") if split == "train" else SPLITS[split]
    images = [image for image in read_listing(listing, "images") if image.get("split") in splits]
    if not images:
        raise UsageError(f"{listing} has no pictures of the {split} split")
    places = [listing.parent, *(listing.parent / name for name in ("images", "Images", "imgs", "Flicker8k_Dataset"))]

    def path(image: dict[str, Any]) -> str:
        inner = Path(image.get("filepath", "")) / image["filename"]
        return str(next((place / inner for place in places if (place / inner).is_file()), places[0] / inner))

    pictures = [{"path": path(image), "bytes": None} for image in images]
    return group_captions(pictures, [[sentence["raw"] for sentence in image["sentences"]] for image in images])


def coco(listing: Path) -> Dataset:
    """COCO's captions (Chen et al. 2015): annotations/captions_train2017.json beside the folder train2017."""
    names = {image["id"]: image["file_name"] for image in read_listing(listing, "images")}
    folder = listing.parent.parent / listing.stem.removeprefix("captions_")
    captions: dict[Any, list[str]] = {identity: [] for identity in names}
    for annotation in read_listing(listing, "annotations"):
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    pictures = [{"path": str(folder / names.get(identity, "?")), "bytes": None} for identity in captions]
    return group_captions(pictures, list(captions.values()))


class ImageProbe:
    """Whether a picture, or the features that stand for it, can be read."""

    keeps = False

    def __call__(self, file: Mapping[str, Any]) -> ProbeResult:
        path = file["path"]
        if path and path.endswith(".npy"):
            try:
                regions, width = read_feature_array(path, "regions").shape
                return ProbeResult(length=regions, feature_dim=width)
            except MediaError as error:
                return ProbeResult(str(error))
        return ProbeResult(image_problem(file_content(file)) or "")

    def cache_key(self) -> str:
        return "pictures"
