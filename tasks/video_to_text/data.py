"""Datasets of videos with captions, in their published forms, and the check of each video."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.common.data.captioned_media import (
    expecting_captions,
    group_captions,
    read_captioned_folder,
    read_captioned_table,
    read_unsplit_folder,
)
from tasks.common.data.folders import read_text, read_text_lines
from tasks.common.data.media_files import (
    FEATURE_SUFFIX,
    VIDEO_SUFFIXES,
    MediaError,
    file_content,
    file_source,
    read_feature_array,
)
from tasks.common.data.media_names import path_inside
from tasks.common.data.media_probe import ProbeResult
from tasks.common.data.splits import SPLITS
from tasks.common.data.table_files import read_csv
from tasks.common.data.tables import find_table
from tasks.common.errors import MissingSplitError, UsageError
from tasks.video_to_text.config import FrameConfig
from tasks.video_to_text.frames import pack_frames, read_frames

if TYPE_CHECKING:
    import datasets

SUFFIXES = (*VIDEO_SUFFIXES, FEATURE_SUFFIX)
VIDEO_FOLDERS = (".", "videos", "videos/all", "TrainValVideo", "TestVideo", "YouTubeClips", "train", "val", "test")
MSVD_LISTINGS = ("AllVideoDescriptions.txt", "video_corpus.csv")
MSVD_COLUMNS = ("VideoID", "Start", "End", "Language", "Description")
MSVD_SPLIT = {"train": (1, 1200), "validation": (1201, 1300), "test": (1301, 1970)}  # Venugopalan et al. 2015


def read_captioned_videos(data: str, split: str, column: str) -> "datasets.Dataset":
    """Find the videos of a split, in any supported form. No video is read.

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
    for annotation_folder in (folder, folder / "annotation", folder / "annotations"):
        table = read_msrvtt(sorted(annotation_folder.glob("*.json")), folder, split)
        if table is not None:
            return table
    descriptions = next((folder / name for name in MSVD_LISTINGS if (folder / name).is_file()), None)
    if descriptions is not None:
        return read_msvd(descriptions, split)
    table = read_unsplit_folder(data, split, column, SUFFIXES)
    if table is not None:
        return table
    found = find_table(data, split)
    if found is None:
        raise MissingSplitError(
            f"--data {data} has no {split} split: neither {split}/metadata.jsonl or .csv with a column file_name, nor "
            f"MSR-VTT's JSON with videos and sentences, nor {' or '.join(MSVD_LISTINGS)} (MSVD's), nor a table, "
            "nor videos with captions.txt or a .txt beside each"
        )
    return read_captioned_table(found, split, datasets.Video, "videos", column, data, SUFFIXES)


def read_msrvtt(listings: Iterable[Path], folder: Path, split: str) -> "datasets.Dataset | None":
    """Read MSR-VTT (Xu et al. 2016) as it is published: JSON of all videos, with their splits, and of all sentences.

    Returns:
        The split; None if no listing has this form.

    Raises:
        UsageError: a listing is broken, or there are no videos of the split.
    """
    splits = (*SPLITS[split], "validate") if split == "validation" else SPLITS[split]
    names: list[str] = []
    captions: dict[str, list[str]] = {}
    is_msrvtt = False
    for listing in listings:
        with expecting_captions(listing, "MSR-VTT's"):
            content = json.loads(read_text(listing))
            if not isinstance(content, dict) or not {"videos", "sentences"} <= content.keys():
                continue
            is_msrvtt = True
            names += [str(video["video_id"]) for video in content["videos"] if video["split"] in splits]
            for sentence in content["sentences"]:
                captions.setdefault(str(sentence["video_id"]), []).append(sentence["caption"])
    if not is_msrvtt:
        return None
    if not names:
        raise UsageError(f"--data {folder}: its listings have no videos of the {split} split")
    return group_captions([find_video(folder, name) for name in names], [captions.get(name, []) for name in names])


def read_msvd(descriptions: Path, split: str) -> "datasets.Dataset":
    """Read MSVD (Chen & Dolan 2011): a clip's name and a description per line, or the original table.

    The split is that of train_list.txt, val_list.txt and test_list.txt, or that of Venugopalan et al. 2015, which
    numbers the clips by youtube_mapping.txt.

    Raises:
        UsageError: there is neither.
    """
    folder = descriptions.parent
    captions: dict[str, list[str]] = {}
    if descriptions.suffix == ".csv":
        columns = read_csv(descriptions)
        if not {*MSVD_COLUMNS} <= columns.keys():
            raise UsageError(
                f"{descriptions} has the columns {', '.join(columns)}; MSVD's {', '.join(MSVD_COLUMNS)} are expected"
            )
        for video, start, end, language, text in zip(*(columns[name] for name in MSVD_COLUMNS), strict=True):
            if language == "English" and text.strip():
                captions.setdefault(f"{video}_{start}_{end}", []).append(text)
    else:
        for line in read_text_lines(descriptions):
            clip, _, text = line.partition(" ")
            if text and not clip.startswith("#"):
                captions.setdefault(clip, []).append(text)
    names = msvd_clips(folder, split)
    return group_captions([find_video(folder, name) for name in names], [captions.get(name, []) for name in names])


def msvd_clips(folder: Path, split: str) -> list[str]:
    """Return the names of the clips of a split of MSVD."""
    for name in SPLITS[split]:
        listing = folder / f"{name}_list.txt"
        if listing.is_file():
            return read_text(listing).split()
    mapping = folder / "youtube_mapping.txt"
    if not mapping.is_file():
        raise UsageError(
            f"--data {folder}: the clips of the {split} split are not known; add {split}_list.txt or {mapping.name} "
            "to the folder"
        )
    first, last = MSVD_SPLIT[split]
    clips = []
    for row, line in enumerate(read_text_lines(mapping), 1):
        match = re.fullmatch(r"(\S+)\s+vid(\d+)", line.strip())
        if match is None and line.strip():
            raise UsageError(f"{mapping}, line {row}: {line.strip()!r} is not a clip and its number, like 'NAME vid12'")
        if match is not None and first <= int(match[2]) <= last:
            clips.append(match[1])
    return clips


def find_video(folder: Path, name: str) -> dict[str, Any]:
    """Return the file of a video of any format, of its features, or the folder of its frames."""
    candidates = [
        path_inside(folder / inner, f"{name}{suffix}") for inner in VIDEO_FOLDERS for suffix in (*SUFFIXES, "")
    ]
    path = next((path for path in candidates if path.exists()), candidates[0])
    return file_source(path)


class VideoProbe:
    """Checks that a video, or a .npy file of frame features, can be read; it may keep the frames."""

    def __init__(self, config: FrameConfig, size: tuple[int, int]):
        """``size``: height and width of the frames in pixels."""
        self.config, self.size = config, size
        self.keeps = config.cache_frames

    def __call__(self, file: Mapping[str, Any]) -> ProbeResult:
        try:
            if file["path"] and file["path"].endswith(FEATURE_SUFFIX) and file["bytes"] is None:
                num_frames, feature_dim = read_feature_array(file["path"], "frames").shape
                return ProbeResult(length=num_frames, feature_dim=feature_dim)
            notes: list[str] = []
            frames = read_frames(file_content(file), self.config, self.size, notes.append)
            kept = pack_frames(frames) if self.keeps else None
            return ProbeResult(length=len(frames), kept=kept, note="; ".join(notes))
        except MediaError as error:
            return ProbeResult(str(error))

    def cache_key(self) -> str:
        return f"videos {self.config} {self.size}"
