"""Figures of the lessons."""

from collections.abc import Mapping, Sequence
from itertools import chain
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from tasks.common.analysis.plots.charts import show_lines

Curves = Mapping[str, Sequence[tuple[Any, float]]]  # the points of each curve by its name, from left to right


def line_chart(curves: Curves, x_title: str, y_title: str, *, log_x: bool = False, log_y: bool = False) -> Figure:
    """Plot curves.

    Args:
        curves: The curves.
        x_title: The quantity on the horizontal axis, with its unit.
        y_title: The quantity on the vertical axis, with its unit.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Whether the vertical axis is logarithmic.
    """
    return line_charts([[(y_title, curves)]], x_title, log_x=log_x, log_y=log_y)


def line_charts(
    grid: Sequence[Sequence[tuple[str, Curves]]], x_title: str, *, log_x: bool = False, log_y: bool = False
) -> Figure:
    """Plot several charts of the same curves above and beside each other, with one legend.

    Args:
        grid: The charts of each row: the quantity on the vertical axis, with its unit, and the curves.
        x_title: The quantity on the horizontal axes, with its unit.
        log_x: Whether the horizontal axes are logarithmic.
        log_y: Whether the vertical axes are logarithmic.
    """
    num_rows, num_columns = len(grid), len(grid[0])
    width = 6.4 if num_columns == 1 else 4.4 * num_columns
    height = 4.0 if num_rows == 1 else 3.2 * num_rows
    figure = Figure(figsize=(width, height), layout="constrained")
    all_axes = figure.subplots(num_rows, num_columns, sharex=True, squeeze=False)
    for axes, (y_title, curves) in zip(all_axes.flat, chain.from_iterable(grid), strict=True):
        if log_x:
            axes.set_xscale("log")
        if log_y:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(LogFormatter())  # 0.5 rather than 5 × 10⁻¹
            axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        show_lines(axes, curves, y_title, marker="o" if max(map(len, curves.values())) < 30 else "")
        if axes is not all_axes[0, 0]:
            axes.get_legend().remove()
    for axes in all_axes[-1]:
        axes.set_xlabel(x_title)
    return figure


def smooth(values: Sequence[float], num_points: int = 100) -> list[tuple[int, float]]:
    """Return the means of consecutive values, each with the number of values up to its last one."""
    size = -(-len(values) // num_points)
    groups = (values[start : start + size] for start in range(0, len(values), size))
    return [(min(number * size, len(values)), fmean(group)) for number, group in enumerate(groups, 1)]


def heat_map(
    values: Sequence[Sequence[float]],
    columns: Sequence[str],
    rows: Sequence[str],
    x_title: str,
    y_title: str,
    value_title: str,
) -> Figure:
    """Plot percentages as a grid of colors, and write each into its cell.

    Args:
        values: The percentages, row by row from top to bottom.
        columns: The labels of the columns.
        rows: The labels of the rows.
        x_title: The quantity of the columns, with its unit.
        y_title: The quantity of the rows, with its unit.
        value_title: The quantity of the values, with its unit.
    """
    figure = Figure(figsize=(1.9 + 0.7 * len(columns), 1.2 + 0.5 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            color = "black" if value > 60 else "white"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=color)
    axes.set(xlabel=x_title, ylabel=y_title)
    figure.colorbar(image, label=value_title)
    return figure
