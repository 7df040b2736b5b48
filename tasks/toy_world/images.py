"""The embedded world drawn: scenes as pictures, their digits written by real hands (scikit-learn's, 8 × 8 pixels)."""

import hashlib
import io
import random
from collections.abc import Mapping
from functools import cache as remember
from typing import Any

import numpy as np
from datasets import Dataset, Features, Value
from jaxtyping import Float, UInt8
from PIL import Image
from sklearn.datasets import load_digits

from tasks.common.data import cache
from tasks.toy_world.scenes import Scene, SceneObject, scenes

VERSION = 1  # of what is kept on disk; a change of the drawing needs another
SIDE = 64  # pixels
RGB = {
    "red": (230, 40, 40),
    "orange": (250, 140, 20),
    "yellow": (245, 235, 60),
    "green": (50, 190, 60),
    "blue": (60, 100, 245),
    "purple": (150, 50, 200),
    "pink": (255, 150, 200),
    "white": (245, 245, 245),
}
HEIGHTS = {"small": 12, "medium": 18, "large": 26}  # pixels, give or take one
SHARES = {"train": range(0, 8), "validation": range(8, 9), "test": range(9, 10)}  # tenths of all handwriting


@remember
def handwriting(split: str) -> list[list[np.ndarray]]:
    """For each digit from 0 to 9 the ink (0 to 1) of those who write in this split, cut to what is written."""
    found: list[list[np.ndarray]] = [[] for _ in range(10)]
    digits: Any = load_digits()
    for image, digit in zip(digits.images, digits.target, strict=True):
        # Some writers wrote the same digit alike to the last pixel: equal images must be of one split.
        if hashlib.sha256(image.tobytes()).digest()[0] % 10 in SHARES[split]:
            rows, columns = np.nonzero(image > 2)
            ink = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            found[digit].append((ink / 16).astype(np.float32))
    return found


def draw(scene: Scene, split: str, generator: random.Random) -> UInt8[np.ndarray, "64 64 3"]:
    """A picture of a scene, on a dark and littered ground; the same generator draws the same."""
    canvas = ground(np.random.default_rng(generator.getrandbits(63)), generator)
    for thing, (top, left), ink in arrange(scene, split, generator):
        paint = np.array(RGB[thing.color]) * generator.uniform(0.85, 1.0)
        height, width = ink.shape
        place = canvas[top : top + height, left : left + width]
        place += ink[..., None] * (paint - place)
    return canvas.clip(0, 255).astype(np.uint8)


def ground(noise: np.random.Generator, generator: random.Random) -> Float[np.ndarray, "64 64 3"]:
    """A dark ground with litter, grey and too small for a digit."""
    canvas = noise.normal(generator.uniform(12, 40), 6, (SIDE, SIDE, 3)) + noise.normal(0, 6, 3)
    for _ in range(generator.randrange(2, 8)):
        row, column = generator.randrange(SIDE), generator.randrange(SIDE)
        height, width = generator.choice(((1, 3), (3, 1), (2, 2), (1, 1), (1, 5), (5, 1)))
        canvas[row : row + height, column : column + width] = generator.uniform(60, 120)
    return canvas


def arrange(
    scene: Scene, split: str, generator: random.Random
) -> list[tuple[SceneObject, tuple[int, int], Float[np.ndarray, "height width"]]]:
    """Each thing with its top left corner and its ink, as ``Scene`` says: one side before the other, a pair across."""
    objects = [side for side in (scene.first, scene.second) if side]
    sides = [[(thing, write(thing, split, generator)) for thing in side] for side in objects]
    along = 0 if scene.relation == "above" else 1  # the axis of the relation: rows or columns
    gap = generator.randrange(2, 7)
    deep = [max(ink.shape[along] for _, ink in side) for side in sides]
    wide = [sum(ink.shape[1 - along] for _, ink in side) + gap * (len(side) - 1) for side in sides]
    start = generator.randint(0, SIDE - sum(deep) - gap * (len(sides) - 1))
    middle = generator.randint((max(wide) + 1) // 2, SIDE - (max(wide) + 1) // 2)  # both sides' centre, across
    placed = []
    for side, depth, width in zip(sides, deep, wide, strict=True):
        across = middle - width // 2
        for thing, ink in side:
            corner = (start + (depth - ink.shape[along]) // 2, across)
            placed.append((thing, corner if along == 0 else corner[::-1], ink))
            across += ink.shape[1 - along] + gap
        start += depth + gap
    return placed


def write(thing: SceneObject, split: str, generator: random.Random) -> Float[np.ndarray, "height width"]:
    """The ink (0 to 1) of a digit in its size, slanted a little."""
    ink = generator.choice(handwriting(split)[thing.digit])
    height = HEIGHTS[thing.size] + generator.randint(-1, 1)
    width = max(3, min(height, round(height * ink.shape[1] / ink.shape[0])))
    picture = Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC)
    picture = picture.rotate(generator.uniform(-8, 8), Image.Resampling.BILINEAR)
    return np.asarray(picture).clip(0, 1)


def toy_images(split: str, count: int, seed: int = 1) -> tuple[list[Scene], Dataset]:
    """``count`` scenes of a split, and their pictures: columns path (a name) and bytes (a PNG), kept on disk.

    No scene's composition and nobody's handwriting is in two splits.
    """
    chosen = scenes(split, count, seed)
    key = hashlib.sha256(f"{VERSION} {split} {seed} {chosen}".encode()).hexdigest()[:24]
    table = Dataset.from_dict({"number": range(count)}).map(
        RenderImage(chosen, split, seed),
        remove_columns=["number"],
        features=Features({"path": Value("string"), "bytes": Value("binary")}),
        cache_file_name=str(cache.folder() / f"drawn-{key}.arrow"),
        new_fingerprint=key,
        num_proc=cache.processes(count),
    )
    return chosen, table


class RenderImage:
    """A row's picture; an object, so that its name does not depend on what it holds."""

    def __init__(self, chosen: list[Scene], split: str, seed: int):
        self.chosen, self.split, self.seed = chosen, split, seed

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        number = row["number"]
        pixels = draw(self.chosen[number], self.split, random.Random(f"drawing {self.split} {self.seed} {number}"))
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png", compress_level=1)
        return {"path": f"{self.split}-{number + 1:05}.png", "bytes": file.getvalue()}
