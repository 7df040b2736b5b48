"""Pictures of what a model looked at and how its score depends on the input. Written as PNG, without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from tasks.checkpoint import write

# matplotlib brings the first font, which lacks Chinese; the first of the others that is installed has it.
WANTED = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC"]
FONTS = [font for font in WANTED if font in font_manager.get_font_names()]


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, whole or not at all."""
    FigureCanvasAgg(figure)
    write(path, lambda beside: figure.savefig(beside, format="png", dpi=120, bbox_inches="tight"))


def draw_alignment(
    weights: Float[Tensor, "target source"], target: Sequence[str], source: Sequence[str], path: Path
) -> None:
    """Which source tokens (columns) each target token (rows) was written from; the darker, the more."""
    figure = Figure(figsize=(2 + 0.42 * len(source), 1.2 + 0.34 * len(target)))
    axes = figure.add_subplot()
    image = axes.imshow(torch.as_tensor(weights).numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor", fontfamily=FONTS)
    axes.set_yticks(range(len(target)), target, fontfamily=FONTS)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, label="attention")
    save(figure, path)


def draw_by_length(systems: Mapping[str, Sequence[Mapping[str, Any]]], score: str, path: Path) -> None:
    """A line a system: its score (y) on groups of sources from short to long (x), as evaluation counts them."""
    figure = Figure(figsize=(6.4, 4))
    axes = figure.add_subplot()
    for name, groups in systems.items():
        axes.plot([group["length"] for group in groups], [group["score"] for group in groups], marker="o", label=name)
    axes.set_xlabel("length of the source")
    axes.set_ylabel(score)
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)


def draw_curves(systems: Mapping[str, Sequence[tuple[int, float]]], score: str, path: Path) -> None:
    """A learning curve a system: its score (y) after so many updates (x)."""
    figure = Figure(figsize=(6.4, 4))
    axes = figure.add_subplot()
    for name, points in systems.items():
        axes.plot(*zip(*points, strict=True), marker=".", label=name)
    axes.set_xlabel("updates")
    axes.set_ylabel(score)
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)
