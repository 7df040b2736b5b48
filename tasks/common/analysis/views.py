"""Views of attention weights over what they attend to. A task makes them; plots and the web page show them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class View(ABC):
    """Attention weights, and the source in a form in which a person recognizes it.

    Attributes:
        weights: The weights of each target token, the end of the sentence included if the decoder generates one.
    """

    kind: ClassVar[str]
    """The kind of the source in one word; names the plot where a source has several views."""

    weights: Tensor

    @abstractmethod
    def plot(self, tokens: Sequence[str], path: Path) -> None:
        """Plot the weights into a PNG file; ``tokens``: the target tokens, one for each row of the weights."""


@dataclass(frozen=True)
class TextView(View):
    """``weights`` (target, source) over the tokens of a text, or over other states that have a label."""

    kind = "text"

    source: Sequence[str]

    def plot(self, tokens: Sequence[str], path: Path) -> None:
        from tasks.common.analysis import plots  # matplotlib takes its time

        plots.plot_alignment(self.weights, tokens, self.source, path)


@dataclass(frozen=True)
class SoundView(View):
    """``weights`` (target, states) over the features of a recording (frames, features) of so many seconds."""

    kind = "sound"

    features: Float[np.ndarray, "frames features"]
    duration_s: float

    def plot(self, tokens: Sequence[str], path: Path) -> None:
        from tasks.common.analysis import plots  # matplotlib takes its time

        plots.plot_audio_attention(self.features, self.weights, tokens, self.duration_s, path)


@dataclass(frozen=True)
class ImageView(View):
    """``weights`` (target, rows, columns) over the regions of an image."""

    kind = "image"

    image: Image.Image

    def plot(self, tokens: Sequence[str], path: Path) -> None:
        from tasks.common.analysis import plots  # matplotlib takes its time

        plots.plot_image_attention(self.image, self.weights, tokens, path)


@dataclass(frozen=True)
class VideoView(View):
    """``weights`` (target, states, rows, columns) over the regions of a video's frames.

    Each state covers the same number of consecutive frames, with a single region if it is of whole frames. The duration
    is None where it is not known.
    """

    kind = "video"

    frames: UInt8[np.ndarray, "frames height width 3"]
    duration_s: float | None

    def plot(self, tokens: Sequence[str], path: Path) -> None:
        from tasks.common.analysis import plots  # matplotlib takes its time

        if self.weights.shape[2:] == (1, 1):
            plots.plot_frame_attention(self.frames, self.weights[..., 0, 0], tokens, path, self.duration_s)
        else:
            plots.plot_region_attention(self.frames, self.weights, tokens, path, self.duration_s)
