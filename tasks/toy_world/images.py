"""Images of the toy world: rendered scenes, with real handwritten digits (scikit-learn's, 8 × 8 pixels)."""

import hashlib
import io
import random
from collections.abc import Mapping
from functools import cache as memoize
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from tasks.common.data import cache
from tasks.toy_world.scenes import Scene, SceneObject, sample_scenes

if TYPE_CHECKING:
    import datasets

VERSION = 2  # of the cached images; increase it when rendering or a column changes
IMAGE_SIZE = 64  # pixels
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
DIGIT_HEIGHTS = {"small": 12, "medium": 18, "large": 26}  # pixels, plus or minus one
PlacedObject = tuple[SceneObject, tuple[int, int], Float[np.ndarray, "height width"]]  # its top left corner, its ink
HANDWRITING_TENTHS = {"train": range(0, 8), "validation": range(8, 9), "test": range(9, 10)}


@memoize
def load_handwriting(split: str) -> list[list[np.ndarray]]:
    """Return the ink (0 to 1) of all samples of each digit from 0 to 9 in this split, cropped to the ink."""
    from sklearn.datasets import load_digits  # of an extra, which tasks on other data don't need

    samples: list[list[np.ndarray]] = [[] for _ in range(10)]
    digits: Any = load_digits()
    for image, digit in zip(digits.images, digits.target, strict=True):
        # Some samples are equal to the last pixel, and must be in the same split.
        if hashlib.sha256(image.tobytes()).digest()[0] % 10 in HANDWRITING_TENTHS[split]:
            rows, columns = np.nonzero(image > 2)
            ink = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            samples[digit].append((ink / 16).astype(np.float32))
    return samples


def render_scene(scene: Scene, split: str, generator: random.Random) -> UInt8[np.ndarray, "64 64 3"]:
    """Render a scene on a dark background with clutter; it depends on the arguments alone."""
    canvas, placed = compose_scene(scene, split, generator)
    for item, (top, left), ink in placed:
        rgb = np.array(RGB[item.color]) * generator.uniform(0.85, 1.0)
        height, width = ink.shape
        box = canvas[top : top + height, left : left + width]
        box += ink[..., None] * (rgb - box)
    return canvas.clip(0, 255).astype(np.uint8)


def compose_scene(
    scene: Scene, split: str, generator: random.Random
) -> tuple[Float[np.ndarray, "64 64 3"], list[PlacedObject]]:
    """Return the background of a scene's image, and its objects at their places."""
    canvas = render_background(np.random.default_rng(generator.getrandbits(63)), generator)
    return canvas, arrange(scene, split, generator)


def render_background(noise: np.random.Generator, generator: random.Random) -> Float[np.ndarray, "64 64 3"]:
    """Render a dark background with clutter, which is gray and smaller than a digit."""
    canvas = noise.normal(generator.uniform(12, 40), 6, (IMAGE_SIZE, IMAGE_SIZE, 3)) + noise.normal(0, 6, 3)
    for _ in range(generator.randrange(2, 8)):
        row, column = generator.randrange(IMAGE_SIZE), generator.randrange(IMAGE_SIZE)
        height, width = generator.choice(((1, 3), (3, 1), (2, 2), (1, 1), (1, 5), (5, 1)))
        canvas[row : row + height, column : column + width] = generator.uniform(60, 120)
    return canvas


def arrange(scene: Scene, split: str, generator: random.Random) -> list[PlacedObject]:
    """Place the objects as ``Scene`` describes: one side before the other, a pair across the relation."""
    objects = [side for side in (scene.first, scene.second) if side]
    sides = [[(item, render_digit(item, split, generator)) for item in side] for side in objects]
    along = 0 if scene.relation == "above" else 1  # the axis of the relation: rows or columns
    gap = generator.randrange(2, 7)
    depths = [max(ink.shape[along] for _, ink in side) for side in sides]
    widths = [sum(ink.shape[1 - along] for _, ink in side) + gap * (len(side) - 1) for side in sides]
    start = generator.randint(0, IMAGE_SIZE - sum(depths) - gap * (len(sides) - 1))
    half_width = (max(widths) + 1) // 2
    center = generator.randint(half_width, IMAGE_SIZE - half_width)  # of both sides, across the relation
    placed = []
    for side, depth, width in zip(sides, depths, widths, strict=True):
        across = center - width // 2
        for item, ink in side:
            corner = (start + (depth - ink.shape[along]) // 2, across)
            placed.append((item, corner if along == 0 else corner[::-1], ink))
            across += ink.shape[1 - along] + gap
        start += depth + gap
    return placed


def render_digit(item: SceneObject, split: str, generator: random.Random) -> Float[np.ndarray, "height width"]:
    """Render the ink (0 to 1) of a handwritten digit in its size, slightly rotated."""
    ink = generator.choice(load_handwriting(split)[item.digit])
    height = DIGIT_HEIGHTS[item.size] + generator.randint(-1, 1)
    width = max(3, min(height, round(height * ink.shape[1] / ink.shape[0])))
    image = Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC)
    image = image.rotate(generator.uniform(-8, 8), Image.Resampling.BILINEAR)
    return np.asarray(image).clip(0, 1)


def toy_images(split: str, count: int, seed: int = 1) -> tuple[list[Scene], "datasets.Dataset"]:
    """Render ``count`` scenes of a split; the images are cached. No composition or handwriting is in two splits.

    Returns:
        The scenes, and the column source: a PNG, as a dictionary of path (a file name) and bytes.
    """
    import datasets

    scenes = sample_scenes(split, count, seed)
    key = hashlib.sha256(f"{VERSION} {split} {seed} {scenes}".encode()).hexdigest()[:24]
    table = cache.map_cached(
        datasets.Dataset.from_dict({"number": range(count)}),
        RenderImage(scenes, split, seed),
        f"images-{key}",
        "rendering images of the toy world",
        cache.num_processes(count),
        remove_columns=["number"],
        features=datasets.Features({"source": {"path": datasets.Value("string"), "bytes": datasets.Value("binary")}}),
    )
    return scenes, table


def image_generator(split: str, seed: int, number: int) -> random.Random:
    """Return the generator of all that is random in an image of ``toy_images``, by its number."""
    return random.Random(f"drawing {split} {seed} {number}")


class RenderImage:
    """Renders a row; an object, so that it can be sent to other processes."""

    def __init__(self, scenes: list[Scene], split: str, seed: int):
        self.scenes, self.split, self.seed = scenes, split, seed

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        number = row["number"]
        pixels = render_scene(self.scenes[number], self.split, image_generator(self.split, self.seed, number))
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png", compress_level=0)
        return {"source": {"path": f"{self.split}-{number + 1:05}.png", "bytes": file.getvalue()}}
