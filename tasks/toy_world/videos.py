"""Videos of the toy world: rendered scenes whose digits stay, move, or move and bounce off the edge."""

import hashlib
import io
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from jaxtyping import UInt8

from tasks.common.data import cache
from tasks.toy_world.grammar import GRAMMARS
from tasks.toy_world.images import IMAGE_SIZE, RGB, arrange, render_background
from tasks.toy_world.scenes import Scene, SceneObject, sample_scenes

if TYPE_CHECKING:
    import datasets

VERSION = 4  # of the cached videos; increase it when rendering or a column changes
NUM_FRAMES = 8
FRAME_RATE_HZ = 4  # of video files
DIRECTIONS = {"left": (1, -1), "right": (1, 1), "up": (0, -1), "down": (0, 1)}  # axis (rows, columns) and sign
MIN_MOVE = 8  # pixels of a movement, and of each part of one that bounces
MAX_MOVE = 40  # pixels of a movement in all
NOISE = 5  # the most that a value between 0 and 255 differs from the background


@dataclass(frozen=True)
class Motion:
    """The motion of an object. Without a direction it stays."""

    direction: str | None = None
    bounces: bool = False

    def verb_phrase(self, participle: bool) -> str:
        if self.direction is None:
            return "staying" if participle else "stays"
        moving, bouncing = ("moving", "bouncing") if participle else ("moves", "bounces")
        return f"{moving} {self.direction}" + (f" and {bouncing}" if self.bounces else "")


@dataclass(frozen=True)
class Move:
    """A motion, and the object's top left corner (row, column) in each frame."""

    motion: Motion
    corners: list[tuple[int, int]]


def sample_move(corner: tuple[int, int], shape: Sequence[int], generator: random.Random) -> Move:
    """Sample a move of an object, among all motions for which there is room.

    Without a bounce the object stops before the edge; with one it reaches the edge and visibly comes back.

    Args:
        corner: The object's top left corner (row, column) in the first frame.
        shape: Its height and width.
        generator: The source of randomness.
    """
    candidates: list[tuple[Motion, int, int]] = [(Motion(), 0, 0)]  # with the room ahead and behind, in pixels
    for direction, (axis, sign) in DIRECTIONS.items():
        before, after = corner[axis], IMAGE_SIZE - shape[axis] - corner[axis]
        ahead, behind = (before, after) if sign < 0 else (after, before)
        if ahead > MIN_MOVE:
            candidates.append((Motion(direction), ahead, behind))
            candidates.append((Motion(direction, bounces=True), ahead, behind))
    motion, ahead, behind = generator.choice(candidates)
    if motion.direction is None:
        return Move(motion, [corner] * NUM_FRAMES)
    axis, sign = DIRECTIONS[motion.direction]
    if motion.bounces:
        length = ahead + generator.randint(MIN_MOVE, max(MIN_MOVE, min(MAX_MOVE, 2 * ahead + behind) - ahead))
    else:
        length = generator.randint(MIN_MOVE, min(MAX_MOVE, ahead - 1))
    corners = []
    for frame in range(NUM_FRAMES):
        distance = length * frame / (NUM_FRAMES - 1)
        offset = sign * round(ahead - abs(ahead - distance) if motion.bounces else distance)
        corners.append((corner[0] + offset * (axis == 0), corner[1] + offset * (axis == 1)))
    return Move(motion, corners)


def render_clip(
    scene: Scene, split: str, generator: random.Random
) -> tuple[UInt8[np.ndarray, "8 64 64 3"], list[Motion]]:
    """Render a scene's frames, the first of which is arranged as in ``render_scene``; also return each motion."""
    noise = np.random.default_rng(generator.getrandbits(63))
    background = render_background(noise, generator).astype(np.float32)
    shape = (NUM_FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3)
    # Each frame has noise of its own: of integers, which take a seventh of the time of normal numbers.
    frames = background + noise.integers(-NOISE, NOISE, shape, dtype=np.int8, endpoint=True)
    motions = []
    for item, corner, ink in arrange(scene, split, generator):
        rgb = np.array(RGB[item.color], dtype=np.float32) * generator.uniform(0.85, 1.0)
        move = sample_move(corner, ink.shape, generator)
        motions.append(move.motion)
        for frame, (top, left) in zip(frames, move.corners, strict=True):
            box = frame[top : top + ink.shape[0], left : left + ink.shape[1]]
            box += ink[..., None] * (rgb - box)
    return frames.clip(0, 255, out=frames).astype(np.uint8), motions


def describe_motions(objects: Sequence[SceneObject], motions: Sequence[Motion]) -> list[str]:
    """Return all descriptions of a video: objects in any order, as a phrase and as a sentence.

    The first one is the plain one, in which what was above or left at first comes first.
    """
    subjects = [GRAMMARS["en"].noun_phrase(item.digit, item.color, "medium", False) for item in objects]
    orders = list(itertools.permutations(zip(subjects, motions, strict=True)))
    phrases = [join_clauses([f"{name} {motion.verb_phrase(False)}" for name, motion in order]) for order in orders]
    full = [join_clauses([f"{name} is {motion.verb_phrase(True)}" for name, motion in order]) for order in orders]
    return phrases + [f"{text[0].upper()}{text[1:]}." for text in full]


def join_clauses(clauses: list[str]) -> str:
    return " while ".join([", ".join(clauses[:-1]), clauses[-1]]) if len(clauses) > 1 else clauses[0]


def toy_clips(split: str, count: int, seed: int = 1) -> "datasets.Dataset":
    """Render ``count`` scenes of a split as videos; they are cached. The scenes are those of the other modalities.

    Returns:
        The columns source (a dictionary of path, a file name, and bytes, a .npy file of the frames) and captions.
    """
    import datasets

    scenes = sample_scenes(split, count, seed)
    key = hashlib.sha256(f"{VERSION} {split} {seed} {scenes}".encode()).hexdigest()[:24]
    return cache.map_cached(
        datasets.Dataset.from_dict({"number": range(count)}),
        RenderClip(scenes, split, seed),
        f"videos-{key}",
        "rendering videos of the toy world",
        cache.num_processes(count),
        remove_columns=["number"],
        features=datasets.Features(
            {
                "source": {"path": datasets.Value("string"), "bytes": datasets.Value("binary")},
                "captions": datasets.List(datasets.Value("string")),
            }
        ),
    )


class RenderClip:
    """Renders a row; an object, so that it can be sent to other processes."""

    def __init__(self, scenes: list[Scene], split: str, seed: int):
        self.scenes, self.split, self.seed = scenes, split, seed

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        number = row["number"]
        scene = self.scenes[number]
        frames, motions = render_clip(scene, self.split, random.Random(f"filming {self.split} {self.seed} {number}"))
        file = io.BytesIO()
        np.save(file, frames, allow_pickle=False)
        source = {"path": f"{self.split}-{number + 1:05}.mp4", "bytes": file.getvalue()}
        return {"source": source, "captions": describe_motions(scene.objects, motions)}


def write_video(frames: UInt8[np.ndarray, "frames height width 3"], path: Path) -> None:
    """Write frames as an .mp4 file, with full color resolution (4:4:4), since digits are only a few pixels large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE_HZ, options={"crf": "10"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
