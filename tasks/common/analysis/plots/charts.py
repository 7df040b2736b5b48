"""Plots of the attention between two texts, and of metrics by source length or over training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from tasks.common.analysis.plots.figure import TOKEN_STYLE, save_figure, show_sentence

STEPS_LABEL = "training steps"


def plot_alignment(
    weights: Float[Tensor, "target source"], target: Sequence[str], source: Sequence[str], path: Path
) -> None:
    """Plot the attention weights of each target token (rows) over the source tokens (columns), darker for larger."""
    width = 2 + 0.42 * len(source)
    figure = Figure(figsize=(width, 1.6 + 0.34 * len(target)), layout="constrained")
    axes = figure.add_subplot()
    image = show_alignment(axes, weights, target, source)
    figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, label="attention weight")
    show_sentence(figure, target, width)
    save_figure(figure, path)


def show_alignment(
    axes: Axes, weights: Float[Tensor, "target source"], target: Sequence[str], source: Sequence[str]
) -> AxesImage:
    """Show an alignment on existing axes, on a scale from 0 to 1."""
    image = axes.imshow(torch.as_tensor(weights).float().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor", **TOKEN_STYLE)
    axes.set_yticks(range(len(target)), target, **TOKEN_STYLE)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def plot_by_length(
    systems: Mapping[str, Sequence[Mapping[str, Any]]], length_axis: str, metric: str, path: Path
) -> None:
    """Plot a metric against the length of the examples, one line for each system.

    Args:
        systems: By name, the ``by_length`` groups of an evaluation report: dicts with ``length`` and ``score``.
        length_axis: What the length is, with its unit.
        metric: Name of the metric, with its unit.
        path: The PNG file.
    """
    curves = {name: [(group["length"], group["score"]) for group in groups] for name, groups in systems.items()}
    plot_lines(curves, length_axis, metric, path, marker="o")


def plot_curves(systems: Mapping[str, Sequence[tuple[int, float]]], metric: str, path: Path) -> None:
    """Plot learning curves, one line for each system: a metric against the number of training steps."""
    plot_lines(systems, STEPS_LABEL, metric, path, marker=".")


def plot_learning_curves(curves: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], path: Path) -> None:
    """Plot several quantities against the number of training steps, one below another.

    Args:
        curves: By the name of the quantity with its unit, the points (step, value) of each line.
        path: The PNG file.
    """
    figure = Figure(figsize=(6.4, 0.6 + 2.6 * len(curves)), layout="constrained")
    all_axes = figure.subplots(len(curves), 1, sharex=True, squeeze=False).flatten()
    for axes, (label, lines) in zip(all_axes, curves.items(), strict=True):
        show_lines(axes, lines, label, marker=".")
    all_axes[-1].set_xlabel(STEPS_LABEL)
    save_figure(figure, path)


def plot_lines(
    lines: Mapping[str, Sequence[tuple[Any, float]]], x_label: str, y_label: str, path: Path, marker: str
) -> None:
    figure = Figure(figsize=(6.4, 4))
    axes = figure.add_subplot()
    show_lines(axes, lines, y_label, marker)
    axes.set_xlabel(x_label)
    save_figure(figure, path)


def show_lines(axes: Axes, lines: Mapping[str, Sequence[tuple[Any, float]]], y_label: str, marker: str) -> None:
    """Show lines of points on existing axes, with a legend."""
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), marker=marker, label=name, clip_on=False, zorder=3)
    # Margins around the points must not suggest that a percentage could be below 0 or above 100.
    values = [value for points in lines.values() for _, value in points]
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0) if min(values) >= 0 else low, min(high, 100.0) if max(values) <= 100 else high)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.legend()
