"""The toy world's data in the form in which tasks read it, and its files."""

import io

import numpy as np
import pytest
from datasets.table import MemoryMappedTable

from tasks.toy_world.datasets import (
    as_video_file,
    split_size,
    toy_captioned_images,
    toy_captioned_videos,
    toy_transcribed_speech,
)
from tasks.toy_world.scenes import describe, sample_scenes
from tasks.video_to_text.config import FrameConfig
from tasks.video_to_text.frames import read_frames


@pytest.mark.parametrize("split, size", [("train", 41), ("validation", 3), ("test", 3)])
def test_images_and_videos_show_the_same_scenes(split, size):
    images, videos = toy_captioned_images(split, 41), toy_captioned_videos(split, 41)
    assert images.column_names == videos.column_names == ["source", "captions"]
    assert len(images) == len(videos) == size
    assert images["captions"][:] == [describe(scene, "en") for scene in sample_scenes(split, size)]
    assert {row["path"].split("-")[0] for row in [*images["source"], *videos["source"]]} == {split}


def test_recordings_have_one_text_each():
    recordings = toy_transcribed_speech("validation", 31)
    assert recordings.column_names == ["audio", "text"]
    assert len(recordings) == 3
    assert all(audio["path"].endswith(".flac") and audio["bytes"] for audio in recordings["audio"])


def test_files_are_memory_mapped():
    images, videos = toy_captioned_images("test", 41), toy_captioned_videos("test", 41)
    for table, column in ((images, "source"), (videos, "source"), (toy_transcribed_speech("test", 31), "audio")):
        blocks = [block for row in getattr(table.data, "blocks", [[table.data]]) for block in row]
        kinds = [type(block) for block in blocks if column in block.column_names]
        assert kinds == [MemoryMappedTable]


def test_split_sizes_are_rounded_up():
    sizes = [split_size(split, 31, validation=15, test=10) for split in ("train", "validation", "test")]
    assert sizes == [31, 3, 4]


def test_a_video_file_shows_the_frames(tmp_path):
    content = toy_captioned_videos("test", 16)[0]["source"]["bytes"]
    (tmp_path / "input.mp4").write_bytes(as_video_file(content))
    frames = np.load(io.BytesIO(content)).astype(int)
    assert np.abs(read_frames(str(tmp_path / "input.mp4"), FrameConfig(), None) - frames).mean() < 3
