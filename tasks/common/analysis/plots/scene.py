"""The overview plot of the demo: one scene as text, audio, image and video, with the sentence generated from each."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from torch import Tensor

from tasks.common.analysis.plots.charts import show_alignment
from tasks.common.analysis.plots.figure import (
    CHARACTERS_PER_INCH,
    TOKEN_STYLE,
    darken,
    join_frames,
    pick_frames,
    remove_ticks,
    save_figure,
    show_times,
    upsample_weights,
)
from tasks.common.analysis.plots.media import show_audio

WIDTH = 10.0  # inches of the figure; the font sizes are legible where it is shown 1000 pixels wide
DPI = 150
FONT_SIZE = 10
TITLE_HEIGHT = 0.45  # inches of a panel's title
LABEL_HEIGHT = 0.2  # inches of a word above its image
CLIP_FRAMES = 8  # of the video without highlights
WORD_FRAMES = 4  # of the video for each word
WORDS_PER_ROW = 2  # of the video panel
MAX_WORDS = 8  # of the image and the video panel
MIN_CELLS = 6  # of the image panel: limits the size of its images


@dataclass(frozen=True)
class Panel:
    """A generated sentence, and the attention weights of its words, or of some of them.

    Attributes:
        title: The modality of the source.
        sentence: The generated sentence.
        reference: A correct sentence.
        words: Words of the sentence.
        weights: The attention weights of the words, (words, ...).
    """

    title: str
    sentence: str
    reference: str
    words: Sequence[str]
    weights: Tensor

    def show_sentences(self, figure: SubFigure, width: float, note: str = "") -> None:
        """Show the sentence above a panel of so many inches, and the reference, with a note, below it."""
        characters = round(CHARACTERS_PER_INCH * width)
        text = textwrap.fill(f"{self.title}: {self.sentence}", characters)
        figure.suptitle(text, fontsize=FONT_SIZE + 1, fontweight="bold", **TOKEN_STYLE)
        below = textwrap.fill(f"Reference: {self.reference}", characters) + note
        figure.supxlabel(below, fontsize=FONT_SIZE, color="tab:blue", **TOKEN_STYLE)


@dataclass(frozen=True)
class TextPanel(Panel):
    """An alignment of the words, one per row of ``weights`` (words, source), with the source tokens."""

    source: Sequence[str]

    def show(self, figure: SubFigure) -> None:
        axes = figure.subplots()
        axes.tick_params(labelsize=FONT_SIZE)
        image = show_alignment(axes, self.weights, self.words, self.source)
        colorbar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, label="attention weight")
        colorbar.ax.tick_params(labelsize=FONT_SIZE - 2)
        self.show_sentences(figure, WIDTH / 2)


@dataclass(frozen=True)
class AudioPanel(Panel):
    """The features of a recording (frames, features), and ``weights`` (words, states) over the same seconds."""

    features: Float[np.ndarray, "frames features"]
    duration_s: float

    def show(self, figure: SubFigure) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.7])
        image = show_audio(top, bottom, self.features, self.weights, self.words, self.duration_s)
        image.set_clim(0, 1)  # the scale of the text panel's colorbar
        top.set_ylabel("mel band")
        top.tick_params(labelsize=FONT_SIZE - 2)
        bottom.tick_params(labelsize=FONT_SIZE)
        self.show_sentences(figure, WIDTH / 2)


@dataclass(frozen=True)
class ImagePanel(Panel):
    """An image, and for each word its attended regions: ``weights`` is (words, rows, columns)."""

    image: UInt8[np.ndarray, "height width 3"]

    def show(self, figure: SubFigure) -> None:
        cells = figure.subplots(1, self.num_cells)
        for cell in cells:
            remove_ticks(cell)
        cells[0].imshow(self.image, interpolation="nearest")
        cells[0].set_title("image", fontsize=FONT_SIZE, color="dimgray")
        for cell, word, regions in zip(cells[1:], self.words, self.weights, strict=False):
            show_regions(cell, self.image[None], regions[None], np.zeros(1, dtype=int))
            cell.set_title(word, **TOKEN_STYLE, fontsize=FONT_SIZE)
        self.show_sentences(figure, WIDTH)

    @property
    def num_cells(self) -> int:
        """Columns of the panel: the image and the words."""
        return max(MIN_CELLS, 1 + min(MAX_WORDS, len(self.words)))

    @property
    def height(self) -> float:
        """Height in inches."""
        return TITLE_HEIGHT + 2 * LABEL_HEIGHT + WIDTH / self.num_cells


@dataclass(frozen=True)
class VideoPanel(Panel):
    """The frames of a video, and for each word its attended regions: ``weights`` is (words, states, rows, columns)."""

    frames: UInt8[np.ndarray, "frames height width 3"]
    duration_s: float

    word_height: ClassVar[float] = 2 * LABEL_HEIGHT + WIDTH / WORDS_PER_ROW / WORD_FRAMES  # inches

    def show(self, figure: SubFigure) -> None:
        heights = [WIDTH / CLIP_FRAMES, *[self.word_height] * self.num_rows]
        grid = figure.add_gridspec(self.num_rows + 1, WORDS_PER_ROW, height_ratios=heights)
        clip = figure.add_subplot(grid[0, :])
        remove_ticks(clip)
        indices = pick_frames(len(self.frames), CLIP_FRAMES)
        clip.imshow(join_frames(self.frames[indices], gap=1), interpolation="nearest")
        self.show_times(clip, indices)
        indices = pick_frames(len(self.frames), WORD_FRAMES)
        for number, (word, regions) in enumerate(zip(self.words[:MAX_WORDS], self.weights, strict=False)):
            cell = figure.add_subplot(grid[1 + number // WORDS_PER_ROW, number % WORDS_PER_ROW])
            show_regions(cell, self.frames, regions, indices)
            self.show_times(cell, indices)
            cell.set_title(word, **TOKEN_STYLE, fontsize=FONT_SIZE, pad=3)
        note = "\n(cyan lines: regions with at least half of the word's largest attention weight)"
        self.show_sentences(figure, WIDTH, note)

    def show_times(self, axes: Axes, indices: np.ndarray) -> None:
        show_times(axes, indices, len(self.frames), self.duration_s, self.frames.shape[2], gap=1)

    @property
    def num_rows(self) -> int:
        """Rows of words."""
        return -(-len(self.words[:MAX_WORDS]) // WORDS_PER_ROW)

    @property
    def height(self) -> float:
        """Height in inches."""
        return TITLE_HEIGHT + 3 * LABEL_HEIGHT + WIDTH / CLIP_FRAMES + self.num_rows * self.word_height


def plot_scene(
    description: str,
    text: TextPanel,
    audio: AudioPanel,
    image: ImagePanel,
    video: VideoPanel,
    path: Path,
) -> None:
    """Plot one scene in four modalities, each with the sentence generated from it and the attention of its words.

    Args:
        description: A correct description of the scene.
        text: The scene described in another language.
        audio: The scene described in a recording.
        image: The scene as an image.
        video: The scene as a video.
        path: The PNG file.
    """
    heights = [2.4 + 0.19 * max(len(text.words), len(audio.words)), image.height, video.height]
    figure = Figure(figsize=(WIDTH, 0.6 + sum(heights)), layout=ConstrainedLayoutEngine(hspace=0.0, h_pad=0.04))
    title = textwrap.fill(f"One scene: {description}", round(CHARACTERS_PER_INCH * WIDTH))
    figure.suptitle(title, fontsize=FONT_SIZE + 2, color="tab:blue", **TOKEN_STYLE)
    rows: Any = figure.subfigures(3, 1, height_ratios=heights)
    halves = rows[0].subfigures(1, 2)
    text.show(halves[0])
    audio.show(halves[1])
    image.show(rows[1])
    video.show(rows[2])
    save_figure(figure, path, DPI)


def show_regions(
    axes: Axes,
    frames: UInt8[np.ndarray, "frames height width 3"],
    weights: Float[Tensor, "states rows columns"],
    frame_indices: np.ndarray,
) -> None:
    """Show some frames side by side: brighter for larger weights, with a line around those above half the largest."""
    attention = upsample_weights(weights, len(frames), frames.shape[1:3], frame_indices)
    remove_ticks(axes)
    frames = darken(frames[frame_indices], attention, 0.45)
    axes.imshow(join_frames(frames, gap=1, fill=1.0), interpolation="nearest")
    outlined = join_frames(attention, gap=1, fill=0.0)
    if outlined.min() < 0.5:  # without it there is no line, of which matplotlib warns
        axes.contour(outlined, levels=[0.5], colors="cyan", linewidths=1)
