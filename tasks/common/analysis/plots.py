"""Pictures of what a model looked at and how its score depends on the input. Written as PNG, without a display."""

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tasks.common.console import console
from tasks.common.training.checkpoints import write

# matplotlib brings the first font, which lacks Chinese; the first of the others that is installed has it. The extra
# "chinese" installs a package that carries the second.
CARRIED = find_spec("mplfonts")
if CARRIED is not None and CARRIED.origin:
    font_manager.fontManager.addfont(Path(CARRIED.origin).parent / "fonts" / "NotoSansCJKsc-Regular.otf")
WANTED = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC"]
FONTS = [font for font in WANTED if font in font_manager.get_font_names()]
WORDS: dict[str, Any] = {"fontfamily": FONTS, "parse_math": False}  # a token is no formula, whatever it is made of
STRIP = 16  # frames of a video that are shown side by side


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, whole or not at all."""
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write(path, lambda beside: figure.savefig(beside, format="png", dpi=120, bbox_inches="tight"))
    if any("missing from font" in str(warning.message) for warning in caught):
        hint = "pip install -e '.[chinese]' brings one"
        console.print(f"{path} has characters that no font here can draw: {hint}", markup=False)


def plot_alignment(
    weights: Float[Tensor, "target source"], target: Sequence[str], source: Sequence[str], path: Path
) -> None:
    """Which source tokens (columns) each target token (rows) was written from; the darker, the more."""
    figure = Figure(figsize=(2 + 0.42 * len(source), 1.2 + 0.34 * len(target)))
    axes = figure.add_subplot()
    image = axes.imshow(torch.as_tensor(weights).numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor", **WORDS)
    axes.set_yticks(range(len(target)), target, **WORDS)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, label="attention")
    save(figure, path)


def plot_by_length(systems: Mapping[str, Sequence[Mapping[str, Any]]], score: str, path: Path) -> None:
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


def plot_curves(systems: Mapping[str, Sequence[tuple[int, float]]], score: str, path: Path) -> None:
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


def plot_audio_attention(
    frames: Float[np.ndarray, "frames features"],
    weights: Float[Tensor, "target states"],
    target: Sequence[str],
    seconds: float,
    path: Path,
) -> None:
    """The sound's features over time with each token where it was heard, and under them all of its attention.

    A token stands where its largest weight is, and the fainter the smaller that is: what follows from the words
    before needs no listening.
    """
    figure = Figure(figsize=(min(24.0, 3 + 2.4 * seconds), 3.2 + 0.2 * len(target)))
    heard, matrix = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 0.6 + 0.2 * len(target)])
    height = frames.shape[1]
    heard.imshow(frames.T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, height))
    heard.set_ylabel("feature")
    weights = torch.as_tensor(weights).float()
    peaks, places = weights.max(dim=1)
    for row, (token, peak, place) in enumerate(zip(target, peaks.tolist(), places.tolist(), strict=True)):
        level = height * (0.9 - 0.8 * row / max(1, len(target)))  # downwards as in the matrix, so none covers another
        style = {"color": "cyan", "ha": "center", "va": "center", "fontfamily": FONTS, "alpha": 0.3 + 0.7 * peak}
        heard.text((place + 0.5) * seconds / weights.size(1), level, token, **style)
    image = matrix.imshow(weights.numpy(), cmap="Blues", vmin=0, aspect="auto", extent=(0, seconds, len(target), 0))
    matrix.set_yticks([row + 0.5 for row in range(len(target))], target, **WORDS, fontsize=8)
    matrix.set_xlabel("seconds")
    matrix.tick_params(length=0)
    figure.colorbar(image, ax=[heard, matrix], fraction=0.03, pad=0.02, label="attention")
    save(figure, path)


def plot_image_attention(
    picture: Image.Image, weights: Float[Tensor, "target rows columns"], target: Sequence[str], path: Path
) -> None:
    """The picture, and then once for each token, lit where it was looked at and dark elsewhere (after Xu et al. 2015).

    Each token has its own scale, so that one can see where its weights are and not only how large; the number beside
    it is the largest of them.
    """
    columns = min(6, len(target) + 1)
    rows = -(-(len(target) + 1) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.1 * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for place in places:
        place.set_axis_off()
    places[0].imshow(picture)
    pixels = np.asarray(picture, dtype=np.float32) / 255
    for place, token, look in zip(places[1:], target, torch.as_tensor(weights).float(), strict=False):
        peak = look.max().clamp(min=1e-6)
        # Between the regions' centres the light changes smoothly: a region has no sharp border in a deep network.
        light = functional.interpolate((look / peak)[None, None], size=pixels.shape[:2], mode="bicubic")[0, 0]
        place.imshow(pixels * (0.2 + 0.8 * light.clamp(0, 1).numpy()[..., None]))
        place.set_title(f"{token} {peak:.2f}", **WORDS, fontsize=9)
    save(figure, path)


def plot_frame_attention(
    frames: UInt8[np.ndarray, "frames height width 3"],
    weights: Float[Tensor, "target states"],
    target: Sequence[str],
    path: Path,
) -> None:
    """The strip of frames, and under it where in time each token was seen; the darker, the more.

    A frame stands above the states that were made of it. Of many frames as many are shown as fit.
    """
    shown = min(STRIP, len(frames))
    picked = (np.arange(shown) + 0.5) * len(frames) / shown
    strip = np.concatenate(list(frames[picked.astype(int)]), axis=1)
    height, width = strip.shape[:2]
    across = min(24.0, max(6.0, 1.3 * shown))
    below = 0.6 + 0.24 * len(target)
    figure = Figure(figsize=(across, across * height / width + below), layout="constrained")
    watched, matrix = figure.subplots(2, 1, height_ratios=[across * height / width, below])
    watched.imshow(strip, aspect="auto")
    watched.set_axis_off()
    weights = torch.as_tensor(weights).float()
    image = matrix.imshow(weights.numpy(), cmap="Blues", vmin=0, aspect="auto", extent=(0, len(frames), len(target), 0))
    matrix.set_yticks([row + 0.5 for row in range(len(target))], target, **WORDS, fontsize=9)
    matrix.set_xlabel("frame")
    matrix.tick_params(length=0)
    figure.colorbar(image, ax=[watched, matrix], fraction=0.03, pad=0.01, label="attention")
    save(figure, path)


def plot_region_attention(
    frames: UInt8[np.ndarray, "frames height width 3"],
    weights: Float[Tensor, "target states rows columns"],
    target: Sequence[str],
    path: Path,
) -> None:
    """The strip of frames once for each token, lit where and when it was looked at; each token has its own scale."""
    shown = min(STRIP, len(frames))
    picked = ((np.arange(shown) + 0.5) * len(frames) / shown).astype(int)
    states = torch.from_numpy(picked) * weights.size(1) // len(frames)
    strip = np.concatenate(list(frames[picked]), axis=1)
    ratio = strip.shape[0] / strip.shape[1]
    across = min(16.0, 1.2 * shown)
    figure = Figure(figsize=(across, (across * ratio + 0.05) * (len(target) + 1)), layout="constrained")
    places = figure.subplots(len(target) + 1, 1)
    for place in places:
        place.set_xticks([])
        place.set_yticks([])
        place.spines[:].set_visible(False)
    places[0].imshow(strip)
    for place, token, look in zip(places[1:], target, torch.as_tensor(weights).float(), strict=False):
        light = (look / look.max().clamp(min=1e-6))[states]
        light = functional.interpolate(light[None], size=frames.shape[1:3], mode="bicubic")[0].clamp(0, 1)
        place.imshow((strip / 255) * (0.2 + 0.8 * np.concatenate(list(light.numpy()), axis=1)[..., None]))
        place.set_ylabel(token, **WORDS, fontsize=9, rotation=0, ha="right", va="center")
    save(figure, path)


def plot_gallery(panels: Sequence[tuple[str, Path]], path: Path) -> None:
    """Pictures that were drawn before, each with its title, two side by side."""
    pictures = [np.asarray(Image.open(file).convert("RGB")) for _, file in panels]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(8.5 * columns, 5.5 * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    for place in places:
        place.set_axis_off()
    for place, (title, _), pixels in zip(places, panels, pictures, strict=False):
        place.imshow(pixels)
        place.set_title(title, **WORDS, fontsize=12)
    save(figure, path)
