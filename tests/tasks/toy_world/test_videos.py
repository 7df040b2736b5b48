"""Videos of the toy world: motions match their descriptions, and scenes are those of the other modalities."""

import io
import random

import numpy as np
import pytest

from tasks.toy_world.images import IMAGE_SIZE
from tasks.toy_world.scenes import SceneObject, sample_scenes
from tasks.toy_world.videos import (
    MIN_MOVE,
    NUM_FRAMES,
    Motion,
    describe_motions,
    render_clip,
    sample_move,
    toy_clips,
    write_video,
)
from tasks.video_to_text.config import FrameConfig
from tasks.video_to_text.frames import read_frames


def test_every_move_is_as_described_and_stays_inside():
    motions = set()
    for seed in range(600):
        generator = random.Random(seed)
        shape = generator.randint(11, 27), generator.randint(5, 20)
        corner = generator.randint(0, IMAGE_SIZE - shape[0]), generator.randint(0, IMAGE_SIZE - shape[1])
        move = sample_move(corner, shape, generator)
        places = np.array(move.corners)
        assert len(places) == NUM_FRAMES
        assert tuple(places[0]) == corner
        assert (places >= 0).all()
        assert (places + shape <= IMAGE_SIZE).all()
        steps = np.diff(places, axis=0)
        motions.add(move.motion)
        if move.motion.direction is None:
            assert not steps.any()
            continue
        axis = 0 if move.motion.direction in ("up", "down") else 1
        sign = -1 if move.motion.direction in ("up", "left") else 1
        assert not steps[:, 1 - axis].any()
        along = sign * steps[:, axis]
        assert along[0] > 0
        edge = places[:, axis].min() if sign < 0 else IMAGE_SIZE - shape[axis] - places[:, axis].max()
        if move.motion.bounces:
            assert along[-1] < 0
            assert edge <= 4  # the object reaches it between two frames
            assert along[along < 0].sum() <= -MIN_MOVE // 2
        else:
            assert (along >= 0).all()
            assert along.sum() >= MIN_MOVE
            assert edge >= 1
    assert len(motions) == 9  # staying, and four directions with and without a bounce


def test_a_video_is_described_in_every_order_and_the_plain_one_is_first():
    objects = [SceneObject(7, "red", "small"), SceneObject(2, "orange", "large"), SceneObject(0, "blue", "medium")]
    motions = [Motion("left", bounces=True), Motion(), Motion("up")]
    sentences = describe_motions(objects, motions)
    assert sentences[0] == "a red seven moves left and bounces, an orange two stays while a blue zero moves up"
    assert "An orange two is staying while a blue zero is moving up." in describe_motions(objects[1:], motions[1:])
    assert len(sentences) == len(set(sentences)) == 12
    assert describe_motions(objects[:1], motions[:1]) == [
        "a red seven moves left and bounces",
        "A red seven is moving left and bouncing.",
    ]


def test_the_same_seed_renders_the_same():
    scene = sample_scenes("train", 3)[2]
    first, second, other = (render_clip(scene, "train", random.Random(seed)) for seed in (1, 1, 2))
    assert first[0].shape == (NUM_FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3)
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize("split", ["train", "test"])
def test_scenes_are_those_of_the_other_modalities_in_the_same_order(split):
    table = toy_clips(split, 6)
    for scene, captions in zip(sample_scenes(split, 6), table["captions"], strict=True):
        words = [
            word for word in captions[0].replace(",", "").split() if word in {item.color for item in scene.objects}
        ]
        assert words == [item.color for item in scene.objects]
    assert toy_clips(split, 6)["source"][:] == table["source"][:]


def test_a_video_file_shows_what_was_rendered(tmp_path):
    frames = np.load(io.BytesIO(toy_clips("test", 1)[0]["source"]["bytes"]))
    write_video(frames, tmp_path / "inside" / "a.mp4")
    read = read_frames(str(tmp_path / "inside" / "a.mp4"), FrameConfig(num_frames=0), None)
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).mean() < 3
