"""One object in focus (Xu et al. 2015): which part of an image is attended to while each word of its caption is chosen.

A network is trained to caption images of one or two handwritten digits among clutter. Nobody shows it where a digit is;
the boxes of the digits serve to count afterwards how much of the attention is on them.
"""

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from decoders.recurrent import RecurrentDecoder
from lessons.lesson import Result
from lessons.training import prepare, train
from lessons.translating import generate
from tasks.common.analysis.plots.figure import TOKEN_STYLE, remove_ticks
from tasks.common.analysis.plots.scene import show_regions
from tasks.common.data.images import load_pixels
from tasks.common.model import Seq2Seq
from tasks.image_captioning.config import ImageConfig
from tasks.image_captioning.presets import demo
from tasks.image_captioning.task import ImageCaptioning
from tasks.toy_world.grammar import COLORS, SIZES
from tasks.toy_world.images import IMAGE_SIZE, compose_scene, image_generator, toy_images
from tasks.toy_world.scenes import describe

if TYPE_CHECKING:
    import datasets

SIDE = 8  # regions on each side of an image
KINDS = ("article", "size", "color", "digit")  # the words of an object
FUNCTION_WORDS = ("a", "an", "to", "the", "of")

Box = list[int]  # top, left, bottom and right, in pixels


class ToyPictures(ImageCaptioning):
    """Caption images of the toy world that show one or two objects."""

    def __init__(self, config: ImageConfig, num_images: int):
        """``num_images``: images of one to three objects for training; those of three are then left out."""
        super().__init__(config)
        self.num_images = num_images

    def load(self, split: str) -> "datasets.Dataset":
        """Return the columns source and target, and the boxes of an image's objects in the order of its caption."""
        scenes, images = toy_images(split, self.num_images // (1 if split == "train" else 16))
        rows = [row for row, scene in enumerate(scenes) if len(scene.objects) <= 2]
        boxes: list[list[Box]] = []
        for row in rows:
            _, placed = compose_scene(scenes[row], split, image_generator(split, 1, row))
            boxes.append([[top, left, top + len(ink), left + len(ink[0])] for _, (top, left), ink in placed])
        columns = {
            "target": [describe(scenes[row], "en")[0] for row in rows],
            "boxes": boxes,
            "length": [1] * len(rows),
            "feature_dim": [0] * len(rows),  # pixels, not features
        }
        table = images.select(rows)
        for name, values in columns.items():
            table = table.add_column(name, values)
        return table


@dataclass(frozen=True)
class SeenWord:
    """A word of a caption, and where the model looked for it.

    Attributes:
        text: The word.
        kind: One of ``KINDS``; "relation" for the words between two objects.
        is_right: Whether the model predicts it, given the words before it.
        box: The box of its object; None for a relation.
        weights: The attention weights of the regions.
        own: The share of the weights in the regions that the box touches.
        others: The share of the weights in the regions that only other boxes touch.
        area: The share of the regions that the box touches.
    """

    text: str
    kind: str
    is_right: bool
    box: Box | None
    weights: Float[Tensor, "rows columns"]
    own: float = 0.0
    others: float = 0.0
    area: float = 0.0


def run(tiny: bool) -> Result:
    task = ToyPictures(demo(), 64 if tiny else 16_000)
    examples, model = prepare(task)
    train(task, model, examples, num_epochs=1 if tiny else 5, lr=3e-3, num_warmup_steps=1 if tiny else 200)
    test = ToyPictures(task.config, 16 * 40 if tiny else 16 * 1000).load("test")
    captions = [attend(task, model, test[row]) for row in range(len(test))]
    rows = []
    for kind in KINDS:
        words = [word for caption in captions for word in caption if word.kind == kind]
        rows.append(
            {
                "word": kind,
                "predicted right, %": f"{100 * fmean(word.is_right for word in words):.1f}",
                "attention on its object, %": f"{100 * fmean(word.own for word in words):.1f}",
                "on the other object, %": f"{100 * fmean(word.others for word in words):.1f}",
                "area of its object, %": f"{100 * fmean(word.area for word in words):.1f}",
            }
        )
    generated = generate(task, model, test["source"][:])
    exact = fmean(caption == target for caption, target in zip(generated, test["target"], strict=True))
    rows.append(dict.fromkeys(rows[0], "") | {"word": "whole caption", "predicted right, %": f"{100 * exact:.1f}"})
    numbers = [len(boxes) for boxes in test["boxes"]]  # of objects
    shown = [
        min(range(len(test)), key=numbers.__getitem__),
        *(row for row, number in enumerate(numbers) if number == 2),
    ][:3]
    return Result(rows, show_words([(test[row], captions[row]) for row in shown]))


@torch.inference_mode()
def attend(task: ToyPictures, model: Seq2Seq, example: dict[str, Any]) -> list[SeenWord]:
    """Return the words of a correct caption, each with the attention of a model that was given the words before it."""
    import datasets

    batch = task.collate(datasets.Dataset.from_list([example]), [0])
    decoder = cast(RecurrentDecoder, model.decoder)
    output = decoder(batch.tokens[:, :-1], model.encode(batch))
    predicted = decoder.logits(output.features)[0].argmax(dim=-1)
    grids = output.weights[0].unflatten(1, (SIDE, SIDE))
    touched = [touched_regions(box) for box in example["boxes"]]
    words, index, kind = [], -1, "relation"
    for place, text in enumerate(example["target"].split()):
        if text in ("a", "an"):
            index, kind = index + 1, "article"
        elif text in SIZES:
            kind = "size"
        elif text in COLORS:
            kind = "color"
        else:
            kind = "relation" if kind in ("digit", "relation") else "digit"
        is_right = bool(predicted[place] == batch.tokens[0, place + 1])
        grid = grids[place]
        if kind == "relation":
            words.append(SeenWord(text, kind, is_right, None, grid))
            continue
        own = touched[index]
        others = torch.stack(touched).any(dim=0) & ~own
        shares = float(grid[own].sum()), float(grid[others].sum()), float(own.float().mean())
        words.append(SeenWord(text, kind, is_right, example["boxes"][index], grid, *shares))
    return words


def touched_regions(box: Box) -> Bool[Tensor, "rows columns"]:
    """Return which regions of the grid a box touches."""
    top, left, bottom, right = box
    size = IMAGE_SIZE // SIDE
    regions = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    regions[top // size : -(-bottom // size), left // size : -(-right // size)] = True
    return regions


def show_words(examples: list[tuple[dict[str, Any], list[SeenWord]]]) -> Figure:
    """Show each image, and once more for each word, darkened where it is not attended to, with the word's object."""
    shown = [[word for word in words if word.text not in FUNCTION_WORDS] for _, words in examples]
    num_columns = 1 + max(map(len, shown))
    figure = Figure(figsize=(1.4 * num_columns, 1.7 * len(examples)), layout="constrained")
    grid = figure.subplots(len(examples), num_columns, squeeze=False)
    for row, (example, _) in zip(grid, examples, strict=True):
        words = shown.pop(0)
        image = load_pixels(example["source"]["bytes"], IMAGE_SIZE).permute(1, 2, 0).numpy()
        for axes in row:
            remove_ticks(axes)
        row[0].imshow(image)
        row[0].set_title("image", color="dimgray")
        for axes, word in zip(row[1:], words, strict=False):
            show_regions(axes, image[None], word.weights[None], np.zeros(1, dtype=int))
            axes.set_title(word.text, color="black" if word.is_right else "tab:red", **TOKEN_STYLE)
            if word.box is not None:
                top, left, bottom, right = word.box
                corner, size = (left - 0.5, top - 0.5), (right - left, bottom - top)
                axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="orange", linestyle=":"))
    return figure
