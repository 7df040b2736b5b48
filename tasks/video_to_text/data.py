"""Videos with their sentences: where they are found, and which of them can't be used."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, Video

from tasks.common.data.captioned_media import (
    MediaError,
    ProbeResult,
    captions_of,
    file_content,
    group_captions,
    read_captioned_folder,
    read_feature_array,
)
from tasks.common.data.tables import SPLITS, read_table
from tasks.common.errors import UsageError
from tasks.video_to_text.frames import FrameConfig, pack_frames, read_frames

SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mpg", ".mov")
PLACES = (".", "videos", "videos/all", "TrainValVideo", "TestVideo", "YouTubeClips", "train", "val", "test")
MSVD_LISTINGS = ("AllVideoDescriptions.txt", "video_corpus.csv")
MSVD_SPLIT = {"train": (1, 1200), "validation": (1201, 1300), "test": (1301, 1970)}  # Venugopalan et al. 2015


def find(data: str, split: str, column: str) -> Dataset:
    """Columns source (path or bytes) and captions of a split, nothing read yet. Raises UsageError if there is none."""
    folder = Path(data)
    own = read_captioned_folder(data, split, column)
    if own is not None:
        return own
    for listings in (folder, folder / "annotation", folder / "annotations"):
        found = msrvtt(sorted(listings.glob("*.json")), folder, split)
        if found is not None:
            return found
    descriptions = next((folder / name for name in MSVD_LISTINGS if (folder / name).is_file()), None)
    if descriptions is not None:
        return msvd(descriptions, split)
    table = read_table(data, split)
    if table is None:
        raise UsageError(
            f"--data {data} has no {split} split: neither {split}/metadata.jsonl or .csv with a column file_name, nor "
            f"MSR-VTT's JSON with videos and sentences, nor {' or '.join(MSVD_LISTINGS)} (MSVD's), nor a table"
        )
    captions = captions_of(table, column, data)
    video = next((name for name, kind in table.features.items() if isinstance(kind, Video)), None)
    if video is not None:
        return group_captions(list(table.cast_column(video, Video(decode=False))[video]), captions)
    if "file_name" not in table.column_names:
        raise UsageError(f"--data {data} has no column of videos; it has {', '.join(table.column_names)}")
    return group_captions([{"path": str(folder / str(file)), "bytes": None} for file in table["file_name"]], captions)


def msrvtt(listings: Iterable[Path], folder: Path, split: str) -> Dataset | None:
    """MSR-VTT (Xu et al. 2016), as it is published: JSON of all videos, with their splits, and of all sentences.

    None if no listing is of this form.
    """
    splits = (*SPLITS[split], "validate") if split == "validation" else SPLITS[split]
    names: list[str] = []
    captions: dict[str, list[str]] = {}
    known = False
    for listing in listings:
        try:
            read = json.loads(listing.read_text(encoding="utf-8"))
            if not isinstance(read, dict) or not {"videos", "sentences"} <= read.keys():
                continue
            known = True
            names += [video["video_id"] for video in read["videos"] if video["split"] in splits]
            for sentence in read["sentences"]:
                captions.setdefault(sentence["video_id"], []).append(sentence["caption"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{listing} is no caption file of MSR-VTT ({error!r})") from error
    if not known:
        return None
    if not names:
        raise UsageError(f"--data {folder}: its listings have no videos of the {split} split")
    return group_captions([file_of(folder, name) for name in names], [captions.get(name, []) for name in names])


def msvd(descriptions: Path, split: str) -> Dataset:
    """MSVD (Chen & Dolan 2011): a description a line behind the name of its clip, or the table of its authors.

    The split is that of train_list.txt, val_list.txt and test_list.txt, or of Venugopalan et al. 2015, which counts
    clips by youtube_mapping.txt. Raises UsageError where there is neither.
    """
    folder = descriptions.parent
    captions: dict[str, list[str]] = {}
    if descriptions.suffix == ".csv":
        with descriptions.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["Language"] == "English" and row["Description"].strip():
                    clip = f"{row['VideoID']}_{row['Start']}_{row['End']}"
                    captions.setdefault(clip, []).append(row["Description"])
    else:
        for line in descriptions.read_text(encoding="utf-8").splitlines():
            clip, _, text = line.partition(" ")
            if text and not clip.startswith("#"):
                captions.setdefault(clip, []).append(text)
    names = clips_of(folder, split)
    return group_captions([file_of(folder, name) for name in names], [captions.get(name, []) for name in names])


def clips_of(folder: Path, split: str) -> list[str]:
    for name in SPLITS[split]:
        listing = folder / f"{name}_list.txt"
        if listing.is_file():
            return listing.read_text(encoding="utf-8").split()
    mapping = folder / "youtube_mapping.txt"
    if not mapping.is_file():
        raise UsageError(f"--data {folder}: which clips are the {split} split? Put {split}_list.txt or {mapping} there")
    first, last = MSVD_SPLIT[split]
    numbered = (line.split() for line in mapping.read_text(encoding="utf-8").splitlines() if line.strip())
    return [clip for clip, number in numbered if first <= int(number.removeprefix("vid")) <= last]


def file_of(folder: Path, name: str) -> dict[str, Any]:
    """Where a video called ``name`` is found, whatever its kind, or features of it, or its frames."""
    candidates = [folder / place / f"{name}{suffix}" for place in PLACES for suffix in (*SUFFIXES, ".npy", "")]
    found = next((path for path in candidates if path.exists()), candidates[0])
    return {"path": str(found), "bytes": None}


class VideoProbe:
    """Whether a video, or the features that stand for it, can be read; and its frames, if they are to be kept."""

    def __init__(self, frames: FrameConfig, size: tuple[int, int]):
        self.frames, self.size = frames, size
        self.keeps = frames.keep

    def __call__(self, file: Mapping[str, Any]) -> ProbeResult:
        try:
            if file["path"] and file["path"].endswith(".npy") and file["bytes"] is None:
                length, width = read_feature_array(file["path"], "frames").shape
                return ProbeResult(length=length, feature_dim=width)
            frames = read_frames(file_content(file), self.frames, self.size)
            return ProbeResult(length=len(frames), kept=pack_frames(frames) if self.keeps else None)
        except MediaError as error:
            return ProbeResult(str(error))

    def cache_key(self) -> str:
        return f"videos {self.frames} {self.size}"
