"""Plots of the attention to some validation examples, to watch it while a model is trained."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import datasets
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from decoders.config import SearchConfig
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Model
from tasks.common.task_group import TaskGroup

NUM_EXAMPLES = 2  # of each part


class AttentionPlots:
    """Plots the alignments of the first validation examples of each part."""

    def __init__(self, group: TaskGroup, examples: Mapping[str, datasets.Dataset]):
        """Keep the sources of some examples, which must be those that ``Task.load`` has made: plots show them."""
        self.group = group
        self.sources = {name: own[:NUM_EXAMPLES]["source"] for name, own in examples.items()}

    def render(self, model: Model) -> dict[str, UInt8[np.ndarray, "height width 3"]]:
        """Plot what the outputs of greedy search attend to.

        Returns:
            Pixels by name: attention/PART/1, without PART for a task alone. Those of empty outputs are left out; there
            are none for a decoder without alignments.
        """
        model.eval()
        images: dict[str, np.ndarray] = {}
        for name, part in self.group.parts.items():
            predictor = Predictor(part, [model.part(name)])
            if not predictor.models[0].decoder.has_alignment:
                continue
            greedy = SearchConfig(beam=1, max_length=part.config.search.max_length)
            ranked = predictor.generate(self.sources[name], greedy)
            for number, (source, (best, *_)) in enumerate(zip(self.sources[name], ranked, strict=True), start=1):
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "attention.png"
                    if predictor.plot_alignment(source, best, path) is not None:
                        images["/".join(filter(None, ("attention", name, str(number))))] = load_pixels(path)
        return images


def load_pixels(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Load an image as RGB values."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
