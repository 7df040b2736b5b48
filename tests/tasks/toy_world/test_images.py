"""The drawn scenes: the same seed draws the same, nobody writes in two splits, and things are where they are said."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from tasks.toy_world.images import DIGIT_HEIGHTS, IMAGE_SIZE, RGB, arrange, load_handwriting, render_scene, toy_images
from tasks.toy_world.scenes import Scene, SceneObject, sample_scenes

SPLITS = ("train", "validation", "test")


def test_no_handwriting_is_in_two_splits():
    seen = {split: {ink.tobytes() for written in load_handwriting(split) for ink in written} for split in SPLITS}
    assert all(len(written) >= 8 for split in SPLITS for written in load_handwriting(split))
    for split, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not seen[split] & seen[other]


def test_the_same_generator_draws_the_same():
    scene = sample_scenes("train", 3)[2]
    first, second, other = (render_scene(scene, "train", random.Random(seed)) for seed in (1, 1, 2))
    assert first.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize("relation", ["above", "left"])
def test_things_lie_inside_and_as_they_are_told(relation):
    for seed in range(200):
        generator = random.Random(seed)
        objects = [SceneObject(generator.randrange(10), "red", generator.choice(list(DIGIT_HEIGHTS))) for _ in range(3)]
        cut = generator.choice((1, 2))
        scene = Scene(tuple(objects[:cut]), relation, tuple(objects[cut:]))
        boxes = [(top, left, *ink.shape) for _, (top, left), ink in arrange(scene, "train", generator)]
        assert len(boxes) == 3
        for top, left, height, width in boxes:
            assert 0 <= top <= IMAGE_SIZE - height
            assert 0 <= left <= IMAGE_SIZE - width
        along = 0 if relation == "above" else 1
        ends = [box[along] + box[2 + along] for box in boxes[:cut]]
        assert max(ends) < min(box[along] for box in boxes[cut:])
        pair = boxes[:2] if cut == 2 else boxes[1:]
        assert pair[0][1 - along] + pair[0][3 - along] < pair[1][1 - along]  # in reading order, across


def test_a_thing_has_its_size_and_its_colour():
    for size, height in DIGIT_HEIGHTS.items():
        for color, paint in RGB.items():
            scene = Scene((SceneObject(0, color, size),))
            generator = random.Random(3)
            picture = render_scene(scene, "test", generator).reshape(-1, 3).astype(float)
            # Litter and ground are grey or dark, so of what is bright most has the direction of the paint.
            bright = picture[np.linalg.norm(picture, axis=1) > 0.75 * np.linalg.norm(paint)]
            cosines = bright @ paint / np.linalg.norm(bright, axis=1) / np.linalg.norm(paint)
            assert np.median(cosines) > 0.97
            ((_, _, ink),) = arrange(scene, "test", random.Random(3))
            assert abs(ink.shape[0] - height) <= 1


def test_drawn_scenes_are_kept_and_can_be_read():
    chosen, table = toy_images("validation", 4)
    again = toy_images("validation", 4)[1]
    assert len(chosen) == len(table) == 4
    assert table["bytes"][:] == again["bytes"][:]
    assert Image.open(io.BytesIO(table[0]["bytes"])).size == (IMAGE_SIZE, IMAGE_SIZE)
