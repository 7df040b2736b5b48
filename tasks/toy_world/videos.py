"""The embedded world in motion: the scenes as videos, whose digits stay, move, or move and bounce off the edge."""

import hashlib
import io
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from datasets import Dataset, Features, List, Value
from jaxtyping import UInt8

from tasks.common.data import cache
from tasks.toy_world.grammar import GRAMMARS
from tasks.toy_world.images import RGB, SIDE, arrange, ground
from tasks.toy_world.scenes import Scene, SceneObject, scenes

VERSION = 2  # of what is kept on disk; a change of the drawing needs another
FRAMES = 8
RATE = 4  # frames a second, where they are written as a video file
DIRECTIONS = {"left": (1, -1), "right": (1, 1), "up": (0, -1), "down": (0, 1)}  # axis (rows, columns) and sign
SHORTEST = 8  # pixels of a movement, and of each part of one that bounces
LONGEST = 40  # pixels of a movement in all


@dataclass(frozen=True)
class Motion:
    """Where a thing goes. Without a direction it stays."""

    direction: str | None = None
    bounces: bool = False

    def tell(self, participle: bool) -> str:
        if self.direction is None:
            return "staying" if participle else "stays"
        moving, bouncing = ("moving", "bouncing") if participle else ("moves", "bounces")
        return f"{moving} {self.direction}" + (f" and {bouncing}" if self.bounces else "")


@dataclass(frozen=True)
class Move:
    """A thing's way: its top left corner in each frame, and what one would call it."""

    motion: Motion
    corners: list[tuple[int, int]]


def ways(corner: tuple[int, int], shape: Sequence[int], generator: random.Random) -> Move:
    """A way for a thing of ``shape`` (rows, columns) that begins at ``corner``: any for which there is room.

    Without a bounce it ends before the edge; with one it reaches it and is seen to come back.
    """
    possible: list[tuple[Motion, int, int]] = [(Motion(), 0, 0)]  # with the room ahead and that behind
    for direction, (axis, sign) in DIRECTIONS.items():
        before, after = corner[axis], SIDE - shape[axis] - corner[axis]
        ahead, behind = (before, after) if sign < 0 else (after, before)
        if ahead > SHORTEST:
            possible.append((Motion(direction), ahead, behind))
            possible.append((Motion(direction, bounces=True), ahead, behind))
    motion, ahead, behind = generator.choice(possible)
    if motion.direction is None:
        return Move(motion, [corner] * FRAMES)
    axis, sign = DIRECTIONS[motion.direction]
    if motion.bounces:
        length = ahead + generator.randint(SHORTEST, max(SHORTEST, min(LONGEST, 2 * ahead + behind) - ahead))
    else:
        length = generator.randint(SHORTEST, min(LONGEST, ahead - 1))
    corners = []
    for frame in range(FRAMES):
        gone = length * frame / (FRAMES - 1)
        offset = sign * round(ahead - abs(ahead - gone) if motion.bounces else gone)
        corners.append((corner[0] + offset * (axis == 0), corner[1] + offset * (axis == 1)))
    return Move(motion, corners)


def render_clip(
    scene: Scene, split: str, generator: random.Random
) -> tuple[UInt8[np.ndarray, "8 64 64 3"], list[Motion]]:
    """A scene's frames, the first of which is arranged as ``handwriting.draw`` would, and what each thing does."""
    noise = np.random.default_rng(generator.getrandbits(63))
    canvas = ground(noise, generator).astype(np.float32)
    frames = 3 * noise.standard_normal((FRAMES, SIDE, SIDE, 3), dtype=np.float32)  # no two frames have the same grain
    frames += canvas
    motions = []
    for thing, corner, ink in arrange(scene, split, generator):
        paint = np.array(RGB[thing.color], dtype=np.float32) * generator.uniform(0.85, 1.0)
        move = ways(corner, ink.shape, generator)
        motions.append(move.motion)
        for frame, (top, left) in zip(frames, move.corners, strict=True):
            place = frame[top : top + ink.shape[0], left : left + ink.shape[1]]
            place += ink[..., None] * (paint - place)
    return frames.clip(0, 255, out=frames).astype(np.uint8), motions


def narrate(objects: Sequence[SceneObject], motions: Sequence[Motion]) -> list[str]:
    """All descriptions of what happens: things in any order, in two frames. The first one is the plain one, in which
    what was above or left at first comes first."""
    reverse_log_probs = [
        (GRAMMARS["en"].noun_phrase(thing.digit, thing.color, "medium", False), motion)
        for thing, motion in zip(objects, motions, strict=True)
    ]
    orders = list(itertools.permutations(reverse_log_probs))
    plain = [joined([f"{name} {motion.tell(False)}" for name, motion in order]) for order in orders]
    full = [joined([f"{name} is {motion.tell(True)}" for name, motion in order]) for order in orders]
    return plain + [f"{text[0].upper()}{text[1:]}." for text in full]


def joined(clauses: list[str]) -> str:
    return " while ".join([", ".join(clauses[:-1]), clauses[-1]]) if len(clauses) > 1 else clauses[0]


def toy_clips(split: str, count: int, seed: int = 1) -> Dataset:
    """``count`` scenes of a split in motion, kept on disk: columns path (a name), bytes (a .npy file of the frames) and
    captions. The scenes are those of the other modalities, in the same order."""
    chosen = scenes(split, count, seed)
    key = hashlib.sha256(f"{VERSION} {split} {seed} {chosen}".encode()).hexdigest()[:24]
    return Dataset.from_dict({"number": range(count)}).map(
        RenderClip(chosen, split, seed),
        remove_columns=["number"],
        features=Features({"path": Value("string"), "bytes": Value("binary"), "captions": List(Value("string"))}),
        cache_file_name=str(cache.folder() / f"moving-{key}.arrow"),
        new_fingerprint=key,
        num_proc=cache.processes(count),
    )


class RenderClip:
    """A row's video; an object, so that its name does not depend on what it holds."""

    def __init__(self, chosen: list[Scene], split: str, seed: int):
        self.chosen, self.split, self.seed = chosen, split, seed

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        number = row["number"]
        scene = self.chosen[number]
        frames, motions = render_clip(scene, self.split, random.Random(f"filming {self.split} {self.seed} {number}"))
        file = io.BytesIO()
        np.save(file, frames, allow_pickle=False)
        reverse_log_probs = narrate(scene.objects, motions)
        return {"path": f"{self.split}-{number + 1:05}.mp4", "bytes": file.getvalue(), "captions": reverse_log_probs}


def write_video(frames: UInt8[np.ndarray, "frames height width 3"], path: Path) -> None:
    """Frames as an .mp4 file, with all their colours (4:4:4), since a digit is but some pixels large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "10"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
