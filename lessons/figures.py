"""Figures of the lessons."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from tasks.common.analysis.plots.charts import show_lines


def line_chart(
    curves: Mapping[str, Sequence[tuple[Any, float]]], x_title: str, y_title: str, *, log_y: bool = False
) -> Figure:
    """Plot curves.

    Args:
        curves: The points of each curve by its name, from left to right.
        x_title: The quantity on the horizontal axis, with its unit.
        y_title: The quantity on the vertical axis, with its unit.
        log_y: Whether the vertical axis is logarithmic.
    """
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    if log_y:
        axes.set_yscale("log")
    show_lines(axes, curves, y_title, marker="o" if max(map(len, curves.values())) < 30 else "")
    axes.set_xlabel(x_title)
    return figure
