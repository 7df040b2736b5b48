"""Shared parts of all plots: fonts for any script, saving, and frames darkened where they are not attended to."""

import textwrap
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from tasks.common.console import warn_once
from tasks.common.extras import install_command
from tasks.common.files import save_atomically

# matplotlib brings the first font, which has no Chinese characters; of the others, the first one installed is used.
# The extra "chinese" installs mplfonts, a package that contains the second.
MPLFONTS = find_spec("mplfonts")
if MPLFONTS is not None and MPLFONTS.origin:
    font_manager.fontManager.addfont(Path(MPLFONTS.origin).parent / "fonts" / "NotoSansCJKsc-Regular.otf")
FONTS = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC"]
INSTALLED_FONTS = [font for font in FONTS if font in font_manager.get_font_names()]
CHARACTERS_PER_INCH = 10  # of titles
TOKEN_STYLE: dict[str, Any] = {
    "fontfamily": INSTALLED_FONTS,
    "parse_math": False,
}  # "$" in a token is a plain character


def show_sentence(figure: Figure, tokens: Sequence[str], width: float) -> None:
    """Show the sentence of display tokens as the title of a figure of so many inches."""
    text = "".join(tokens).replace("·", " ").removesuffix("</s>").strip()
    figure.suptitle(textwrap.fill(text, round(CHARACTERS_PER_INCH * width)), fontsize=11, **TOKEN_STYLE)


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Save the figure as PNG, atomically; print a hint, once, if it has characters that no installed font contains."""
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save_atomically(path, lambda file: figure.savefig(file, format="png", dpi=dpi, bbox_inches="tight"))
    if any("missing from font" in str(warning.message) for warning in caught):
        hint = f"{install_command('chinese')} installs one"
        warn_once(f"a plot has characters that no font on this computer contains: {hint}")


def remove_ticks(axes: Axes) -> None:
    """Remove ticks and frame, as for an image, but keep room for labels."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def show_times(
    axes: Axes, indices: np.ndarray, num_frames: int, duration_s: float, frame_width: int, gap: int = 0
) -> None:
    """Label frames that ``join_frames`` joined with the seconds at which they begin."""
    centers = [position * (frame_width + gap) + (frame_width - 1) / 2 for position in range(len(indices))]
    axes.set_xticks(centers, [f"{index * duration_s / num_frames:.2f} s" for index in indices], fontsize=8)
    axes.tick_params(length=0)


def pick_frames(num_frames: int, max_frames: int) -> np.ndarray:
    """Return the indices of at most ``max_frames`` frames at equal distances."""
    count = min(max_frames, num_frames)
    return ((np.arange(count) + 0.5) * num_frames / count).astype(int)


def upsample_weights(
    weights: Float[Tensor, "states rows columns"], num_frames: int, size: tuple[int, int], frame_indices: np.ndarray
) -> Float[np.ndarray, "shown height width"]:
    """Bring attention weights over regions to the size of the frames, relative to the largest weight of all.

    Weights change smoothly from region to region: the receptive fields of neighboring regions overlap.

    Args:
        weights: The weights of one token; each state covers the same number of consecutive frames.
        num_frames: Number of frames of the video; 1 for an image.
        size: Height and width of a frame.
        frame_indices: The frames to return.

    Returns:
        Values from 0 to 1.
    """
    states = torch.from_numpy(frame_indices) * len(weights) // num_frames
    relative = (weights / weights.max().clamp(min=1e-6))[states]
    return functional.interpolate(relative[None], size=size, mode="bicubic")[0].clamp(0, 1).numpy()


def darken(
    frames: UInt8[np.ndarray, "frames height width 3"],
    attention: Float[np.ndarray, "frames height width"],
    min_brightness: float = 0.2,
) -> Float[np.ndarray, "frames height width 3"]:
    """Darken frames the less they are attended to, at most to ``min_brightness``; return RGB values from 0 to 1."""
    return frames / 255 * (min_brightness + (1 - min_brightness) * attention[..., None])


def join_frames(frames: np.ndarray, gap: int = 0, fill: float = 255.0) -> np.ndarray:
    """Join frames (frames, height, width, ...) from left to right, with ``gap`` pixels of value ``fill`` in between."""
    padding = [(0, 0), (0, 0), (0, gap), *[(0, 0)] * (frames.ndim - 3)]
    joined = np.concatenate(list(np.pad(frames, padding, constant_values=fill)), axis=1)
    return joined[:, : joined.shape[1] - gap]
