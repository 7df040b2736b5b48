"""Datasets of images with captions, in their published forms, and the check of each image."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.data.captioned_media import (
    expecting_captions,
    group_captions,
    read_captioned_folder,
    read_captioned_table,
    read_unsplit_folder,
)
from tasks.common.data.folders import read_text
from tasks.common.data.images import image_problem
from tasks.common.data.media_files import (
    FEATURE_SUFFIX,
    IMAGE_SUFFIXES,
    MediaError,
    file_content,
    file_source,
    read_feature_array,
)
from tasks.common.data.media_names import path_inside
from tasks.common.data.media_probe import ProbeResult
from tasks.common.data.splits import SPLITS
from tasks.common.data.tables import find_table, is_saved
from tasks.common.errors import MissingSplitError

if TYPE_CHECKING:
    import datasets

SUFFIXES = (*IMAGE_SUFFIXES, FEATURE_SUFFIX)
KARPATHY_IMAGE_FOLDERS = ("images", "Images", "imgs", "Flicker8k_Dataset")


def read_captioned_images(data: str, split: str, column: str) -> "datasets.Dataset":
    """Find the images of a split, in any supported form. No image is read.

    Args:
        data: A folder or hub id.
        split: train, validation or test.
        column: The name of the column with the captions, in tables.

    Returns:
        The columns source (path or bytes), captions and row, the number in the data.

    Raises:
        UsageError: there is no such split.
    """
    import datasets

    folder = Path(data)
    table = read_captioned_folder(data, split, column, SUFFIXES)
    if table is not None:
        return table
    listings = [folder, folder / "dataset.json", *sorted(folder.glob("dataset_*.json"))]
    for listing in () if is_saved(folder) else listings:  # the library datasets has files of such names
        if listing.suffix == ".json" and listing.is_file():
            return read_karpathy(listing, split)
    for name in SPLITS[split]:
        for listing in sorted((folder / "annotations").glob(f"captions_{name}*.json")):
            return read_coco(listing)
    table = read_unsplit_folder(data, split, column, SUFFIXES)
    if table is not None:
        return table
    found = find_table(data, split)
    if found is None:
        raise MissingSplitError(
            f"--data {data} has no {split} split: neither {split}/metadata.jsonl or .csv with a column file_name, nor "
            f"dataset.json (Karpathy's), nor annotations/captions_{split}*.json (COCO's), nor a table, nor "
            "images with captions.txt or a .txt beside each"
        )
    return read_captioned_table(found, split, datasets.Image, "images", column, data, SUFFIXES)


def read_karpathy(listing: Path, split: str) -> "datasets.Dataset":
    """Read a split of Karpathy & Fei-Fei 2015, one file for all splits; COCO's restval belongs to training."""
    names = (*SPLITS[split], "restval") if split == "train" else SPLITS[split]
    folders = [listing.parent, *(listing.parent / name for name in KARPATHY_IMAGE_FOLDERS)]

    def find_image(image: Mapping[str, Any]) -> Path:
        inner = f"{image.get('filepath', '')}/{image['filename']}".removeprefix("/")
        paths = [path_inside(folder, inner) for folder in folders]
        return next((path for path in paths if path.is_file()), paths[0])

    with expecting_captions(listing, "Karpathy's"):
        images = [image for image in json.loads(read_text(listing))["images"] if image.get("split") in names]
        if not images:
            raise MissingSplitError(f"{listing} has no images of the {split} split")
        captions = [[sentence["raw"] for sentence in image["sentences"]] for image in images]
        return group_captions([file_source(find_image(image)) for image in images], captions)


def read_coco(listing: Path) -> "datasets.Dataset":
    """Read COCO's captions (Chen et al. 2015): annotations/captions_train2017.json next to the folder train2017."""
    folder = listing.parent.parent / listing.stem.removeprefix("captions_")
    with expecting_captions(listing, "COCO's"):
        content = json.loads(read_text(listing))
        names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: dict[Any, list[str]] = {image_id: [] for image_id in names}
        for annotation in content["annotations"]:
            captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
        files = [file_source(path_inside(folder, names.get(image_id, "?"))) for image_id in captions]
        return group_captions(files, list(captions.values()))


class ImageProbe:
    """Checks that an image, or a .npy file of region features, can be read."""

    keeps = False

    def __call__(self, file: Mapping[str, Any]) -> ProbeResult:
        path = file["path"]
        if path and path.endswith(FEATURE_SUFFIX):
            try:
                num_regions, feature_dim = read_feature_array(path, "regions").shape
                return ProbeResult(length=num_regions, feature_dim=feature_dim)
            except MediaError as error:
                return ProbeResult(str(error))
        return ProbeResult(image_problem(file_content(file)) or "")

    def cache_key(self) -> str:
        return "images"
