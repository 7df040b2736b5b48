"""Images of the toy world: seeds determine everything, splits share no handwriting, and objects are at their places."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from tasks.toy_world.images import DIGIT_HEIGHTS, IMAGE_SIZE, RGB, arrange, load_handwriting, render_scene, toy_images
from tasks.toy_world.scenes import Scene, SceneObject, sample_scenes

SPLITS = ("train", "validation", "test")


def test_splits_share_no_handwriting():
    samples = {split: {ink.tobytes() for digit in load_handwriting(split) for ink in digit} for split in SPLITS}
    assert all(len(digit) >= 8 for split in SPLITS for digit in load_handwriting(split))
    for split, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not samples[split] & samples[other]


def test_the_same_seed_renders_the_same():
    scene = sample_scenes("train", 3)[2]
    first, second, other = (render_scene(scene, "train", random.Random(seed)) for seed in (1, 1, 2))
    assert first.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize("relation", ["above", "left"])
def test_objects_are_inside_and_arranged_as_described(relation):
    for seed in range(200):
        generator = random.Random(seed)
        objects = [SceneObject(generator.randrange(10), "red", generator.choice(list(DIGIT_HEIGHTS))) for _ in range(3)]
        num_first = generator.choice((1, 2))
        scene = Scene(tuple(objects[:num_first]), relation, tuple(objects[num_first:]))
        boxes = [(top, left, *ink.shape) for _, (top, left), ink in arrange(scene, "train", generator)]
        assert len(boxes) == 3
        for top, left, height, width in boxes:
            assert 0 <= top <= IMAGE_SIZE - height
            assert 0 <= left <= IMAGE_SIZE - width
        along = 0 if relation == "above" else 1
        ends = [box[along] + box[2 + along] for box in boxes[:num_first]]
        assert max(ends) < min(box[along] for box in boxes[num_first:])
        pair = boxes[:2] if num_first == 2 else boxes[1:]
        assert pair[0][1 - along] + pair[0][3 - along] < pair[1][1 - along]  # in reading order, across


def test_an_object_has_its_size_and_its_color():
    for size, height in DIGIT_HEIGHTS.items():
        for color, rgb in RGB.items():
            scene = Scene((SceneObject(0, color, size),))
            generator = random.Random(3)
            image = render_scene(scene, "test", generator).reshape(-1, 3).astype(float)
            # Clutter and background are gray or dark, so most bright pixels have the direction of the color.
            bright = image[np.linalg.norm(image, axis=1) > 0.75 * np.linalg.norm(rgb)]
            cosines = bright @ rgb / np.linalg.norm(bright, axis=1) / np.linalg.norm(rgb)
            assert np.median(cosines) > 0.97
            ((_, _, ink),) = arrange(scene, "test", random.Random(3))
            assert abs(ink.shape[0] - height) <= 1


def test_images_are_cached_and_can_be_read():
    scenes, table = toy_images("validation", 4)
    again = toy_images("validation", 4)[1]
    assert len(scenes) == len(table) == 4
    assert table["source"][:] == again["source"][:]
    assert Image.open(io.BytesIO(table[0]["source"]["bytes"])).size == (IMAGE_SIZE, IMAGE_SIZE)
