"""Plots of the attention of target tokens to audio, images and videos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image
from torch import Tensor

from tasks.common.analysis.plots.figure import (
    INSTALLED_FONTS,
    TOKEN_STYLE,
    darken,
    join_frames,
    pick_frames,
    remove_ticks,
    save_figure,
    show_sentence,
    show_times,
    upsample_weights,
)

MAX_FRAMES = 16  # frames of a video that are shown side by side


def plot_audio_attention(
    features: Float[np.ndarray, "frames features"],
    weights: Float[Tensor, "target states"],
    target: Sequence[str],
    duration_s: float,
    path: Path,
) -> None:
    """Plot the features of a recording over time, and below them the attention weights of each token.

    Each token is also written on the features at its largest weight, the fainter the smaller that weight is: a token
    that follows from the words before it needs little attention to the audio.
    """
    width = min(24.0, 3 + 2.4 * duration_s)
    figure = Figure(figsize=(width, 3.4 + 0.2 * len(target)), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 0.6 + 0.2 * len(target)])
    image = show_audio(top, bottom, features, weights, target, duration_s)
    num_features = features.shape[1]
    peaks, positions = torch.as_tensor(weights).float().max(dim=1)
    for row, (token, peak, position) in enumerate(zip(target, peaks.tolist(), positions.tolist(), strict=True)):
        height = num_features * (0.9 - 0.8 * row / max(1, len(target)))  # descending, so that no token covers another
        style = {"color": "cyan", "ha": "center", "va": "center", "fontfamily": INSTALLED_FONTS}
        top.text((position + 0.5) * duration_s / weights.size(1), height, token, alpha=0.3 + 0.7 * peak, **style)
    figure.colorbar(image, ax=[top, bottom], fraction=0.03, pad=0.02, label="attention weight")
    show_sentence(figure, target, width)
    save_figure(figure, path)


def show_audio(
    top: Axes,
    bottom: Axes,
    features: Float[np.ndarray, "frames features"],
    weights: Float[Tensor, "target states"],
    target: Sequence[str],
    duration_s: float,
) -> AxesImage:
    """Show the features on the axes ``top``, and the weights on ``bottom``, over the same seconds."""
    num_features = features.shape[1]
    top.imshow(features.T, origin="lower", aspect="auto", cmap="magma", extent=(0, duration_s, 0, num_features))
    top.set_ylabel("feature")
    extent = (0, duration_s, len(target), 0)
    matrix = torch.as_tensor(weights).float().numpy()
    image = bottom.imshow(matrix, cmap="Blues", vmin=0, aspect="auto", extent=extent)
    bottom.set_yticks([row + 0.5 for row in range(len(target))], target, **TOKEN_STYLE, fontsize=8)
    bottom.set_xlabel("seconds")
    bottom.tick_params(length=0)
    return image


def plot_image_attention(
    image: Image.Image, weights: Float[Tensor, "target rows columns"], target: Sequence[str], path: Path
) -> None:
    """Plot the image, and once more for each token, darkened where it is not attended to (after Xu et al. 2015).

    Each token has its own brightness scale; the number after the token is its largest weight.
    """
    num_columns = min(6, len(target) + 1)
    num_rows = -(-(len(target) + 1) // num_columns)
    figure = Figure(figsize=(1.9 * num_columns, 0.4 + 2.1 * num_rows), layout="constrained")
    cells = figure.subplots(num_rows, num_columns, squeeze=False).flatten()
    for cell in cells:
        cell.set_axis_off()
    cells[0].imshow(image)
    pixels = np.asarray(image)
    for cell, token, regions in zip(cells[1:], target, torch.as_tensor(weights).float(), strict=False):
        attention = upsample_weights(regions[None], 1, pixels.shape[:2], np.zeros(1, dtype=int))
        cell.imshow(darken(pixels[None], attention)[0])
        cell.set_title(f"{token} {regions.max():.2f}", **TOKEN_STYLE, fontsize=9)
    show_sentence(figure, target, 1.9 * num_columns)
    save_figure(figure, path)


def plot_frame_attention(
    frames: UInt8[np.ndarray, "frames height width 3"],
    weights: Float[Tensor, "target states"],
    target: Sequence[str],
    path: Path,
    duration_s: float | None = None,
) -> None:
    """Plot the frames of a video, and below them the attention weights of each token over time, darker for larger.

    Each frame is above the states that were computed from it. At most MAX_FRAMES frames are shown. Without
    ``duration_s``, the duration of the video, time is counted in frames.
    """
    strip = join_frames(frames[pick_frames(len(frames), MAX_FRAMES)])
    height, width = strip.shape[:2]
    figure_width = min(24.0, max(6.0, 1.3 * min(MAX_FRAMES, len(frames))))
    heights = [figure_width * height / width, 0.6 + 0.24 * len(target)]  # inches
    figure = Figure(figsize=(figure_width, 0.4 + sum(heights)), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=heights)
    top.imshow(strip, aspect="auto")
    top.set_axis_off()
    matrix = torch.as_tensor(weights).float().numpy()
    image = bottom.imshow(
        matrix, cmap="Blues", vmin=0, aspect="auto", extent=(0, duration_s or len(frames), len(target), 0)
    )
    bottom.set_yticks([row + 0.5 for row in range(len(target))], target, **TOKEN_STYLE, fontsize=9)
    bottom.set_xlabel("time (frames)" if duration_s is None else "time (seconds)")
    bottom.tick_params(length=0)
    figure.colorbar(image, ax=[top, bottom], fraction=0.03, pad=0.01, label="attention weight")
    show_sentence(figure, target, figure_width)
    save_figure(figure, path)


def plot_region_attention(
    frames: UInt8[np.ndarray, "frames height width 3"],
    weights: Float[Tensor, "target states rows columns"],
    target: Sequence[str],
    path: Path,
    duration_s: float | None = None,
) -> None:
    """Plot the frames of a video, and once more for each token, darkened where and when they are not attended to.

    Each token has its own brightness scale. At most MAX_FRAMES frames are shown, with their times below them if
    ``duration_s``, the duration of the video, is known.
    """
    indices = pick_frames(len(frames), MAX_FRAMES)
    strip = join_frames(frames[indices])
    figure_width = min(16.0, 1.2 * len(indices))
    row_height = figure_width * strip.shape[0] / strip.shape[1] + 0.05
    figure = Figure(figsize=(figure_width, 0.6 + row_height * (len(target) + 1)), layout="constrained")
    rows = figure.subplots(len(target) + 1, 1)
    for row in rows:
        remove_ticks(row)
    rows[0].imshow(strip)
    if duration_s is not None:
        show_times(rows[-1], indices, len(frames), duration_s, frame_width=frames.shape[2])
    for row, token, regions in zip(rows[1:], target, torch.as_tensor(weights).float(), strict=False):
        attention = upsample_weights(regions, len(frames), frames.shape[1:3], indices)
        row.imshow(join_frames(darken(frames[indices], attention)))
        row.set_ylabel(token, **TOKEN_STYLE, fontsize=9, rotation=0, ha="right", va="center")
    show_sentence(figure, target, figure_width)
    save_figure(figure, path)
