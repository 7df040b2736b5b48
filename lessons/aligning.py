"""Attention weights of a trained model, as figures show them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure

from tasks.common.analysis.plots.charts import show_alignment
from tasks.common.data.batching import Batch
from tasks.common.model import Alignment, Seq2Seq
from tasks.common.text_task import TextTask

if TYPE_CHECKING:
    import datasets

BATCH_SIZE = 64


@dataclass(frozen=True)
class AlignedPair:
    """The attention weights of each token of a translation over the tokens of its source."""

    weights: Float[np.ndarray, "target source"]
    target: list[str]
    source: list[str]


@torch.inference_mode()
def align(task: TextTask[Any], model: Seq2Seq, source: str, target: str) -> AlignedPair:
    """Return the attention weights with which a model reads and translates: the true words are given (teacher forcing).

    Args:
        task: The task of the model.
        model: A model with attention.
        source: A text.
        target: Its correct translation.
    """
    import datasets

    pair = datasets.Dataset.from_dict({"source": [source], "target": [target]})
    batch = task.collate(pair, [0])
    alignment = model.align(batch)
    assert alignment is not None, "the model has attention"
    words = plain(task.tokenizer.display_tokens(batch.tokens[0, 1:-1].tolist()))
    return AlignedPair(alignment.weights[0, : len(words)].numpy(), words, plain(task.display_source(source)))


def plain(tokens: Sequence[str]) -> list[str]:
    """Return tokens without the mark of a space before them."""
    return [token.removeprefix("·") or "·" for token in tokens]


@torch.inference_mode()
def align_batches(
    task: TextTask[Any], model: Seq2Seq, examples: "datasets.Dataset"
) -> Iterator[tuple[Batch, Alignment]]:
    """Yield examples in batches, with the attention weights of their correct translations."""
    for start in range(0, len(examples), BATCH_SIZE):
        batch = task.collate(examples, list(range(start, min(start + BATCH_SIZE, len(examples)))))
        alignment = model.align(batch)
        assert alignment is not None, "the model has attention"
        yield batch, alignment


def show_alignments(pairs: Mapping[str, AlignedPair], num_columns: int, panel: tuple[float, float]) -> Figure:
    """Show alignments in a grid, each under its name; the scale is 0 to 1 in all of them.

    Args:
        pairs: The alignments. Tokens that are those of the panel to the left or above are not repeated.
        num_columns: Panels in a row.
        panel: Width and height of a panel in inches.
    """
    num_rows = -(-len(pairs) // num_columns)
    figure = Figure(figsize=(panel[0] * num_columns, panel[1] * num_rows), layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    given = list(pairs.values())
    image = None
    for place, (name, pair) in enumerate(pairs.items()):
        axes = grid.flat[place]
        image = show_alignment(axes, torch.from_numpy(pair.weights), pair.target, pair.source)
        axes.set_xlabel(name)
        for label in axes.get_xticklabels():
            if len(label.get_text()) == 1:  # a character needs no slanted line
                label.set(rotation=0, ha="center")
        if place % num_columns and given[place - 1].target == pair.target:
            axes.set_yticks([])
        if place >= num_columns and given[place - num_columns].source == pair.source:
            axes.set_xticks([])
    for axes in grid.flat[len(pairs) :]:
        axes.set_axis_off()
    assert image is not None, "there is at least one pair"
    figure.colorbar(image, ax=list(grid.flat), fraction=0.02, pad=0.01, label="attention weight")
    return figure
