"""Pictures as they are found: any size, mode and format that Pillow reads, upright, in red, green and blue."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tasks.common.data.captioned_media import MediaError
from tasks.common.errors import check

Image.MAX_IMAGE_PIXELS = None  # ``open_image`` has its own limit, and says it
SMALLEST = 8  # pixels a side
LARGEST = 200  # million pixels, after what the decoder itself leaves out


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What training changes in its pictures."""

    crop: float = 0.0
    """Up to this share of each side is cut off, by new shares each time."""
    flip: bool = False
    """Half of the pictures are mirrored: only where no caption tells left from right."""
    color: float = 0.0
    """Brightness and contrast change by up to this share."""

    def __post_init__(self):
        allowed = {name: (0 <= getattr(self, name) <= 0.5, "0 to 0.5") for name in ("crop", "colour")}
        check("augment", self, allowed)


def open_image(source: str | bytes, side: int | None = None) -> Image.Image:
    """A picture in RGB, turned upright. Of an animation it is the first frame; what is transparent is white.

    ``side``: pictures will be brought to this size, so JPEGs need not be decoded in more detail. Raises MediaError.
    """
    try:
        if (len(source) if isinstance(source, bytes) else Path(source).stat().st_size) == 0:
            raise MediaError("is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken metadata, which nothing here depends on
            picture = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
            if side:
                picture.draft("RGB", (2 * side, 2 * side))
            width, height = picture.size
            if width * height > LARGEST * 1_000_000:
                raise MediaError(f"has {width * height / 1e6:.0f} million pixels; at most {LARGEST} are read")
            return to_rgb(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise MediaError("does not exist") from None
    except IsADirectoryError:
        raise MediaError("is a folder") from None
    except UnidentifiedImageError:
        raise MediaError("is no picture that can be read") from None
    except MediaError:
        raise
    except Exception as error:  # each format's decoder raises its own
        raise MediaError(f"is broken ({str(error).splitlines()[0] if str(error) else error!r})") from error


def to_rgb(picture: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB; 16 bits become 8."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float64)
        whole = 255.0 if values.max(initial=0) <= 255 else 65535.0
        return Image.fromarray((values.clip(0, whole) / whole * 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def problem(source: str | bytes) -> str | None:
    """What is wrong with a picture, or None: read as a whole, so that later nothing can fail."""
    try:
        width, height = open_image(source, side=SMALLEST).size
    except MediaError as error:
        return str(error)
    if min(width, height) < SMALLEST:
        return f"is {width} × {height} pixels; at least {SMALLEST} × {SMALLEST} are needed"
    return None


def load_pixels(source: str | bytes, side: int, augment: AugmentConfig | None = None) -> UInt8[Tensor, "3 side side"]:
    """Pixels of a picture brought to ``side`` × ``side``, the whole of it, or what ``augment`` leaves."""
    picture = open_image(source, side)
    if augment is None:
        return pixels(picture.resize((side, side), Image.Resampling.BICUBIC))
    box = random_crop_box(*picture.size, augment.crop)
    return color_jitter(pixels(picture.resize((side, side), Image.Resampling.BICUBIC, box)), augment)


def random_crop_box(width: int, height: int, share: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is left where up to ``share`` of each side is cut off, by chance."""
    split_span = share * torch.rand(2)  # of the width and of the height
    lefts = split_span * torch.rand(2)
    (left, top), (right, bottom) = lefts.tolist(), (1 - split_span + lefts).tolist()
    return left * width, top * height, right * width, bottom * height


def color_jitter(
    values: UInt8[Tensor, "*frames 3 height width"], augment: AugmentConfig
) -> UInt8[Tensor, "*frames 3 h w"]:
    """Mirrored and in another light, by chance; all frames in the same way."""
    if augment.flip and torch.rand(()) < 0.5:
        values = values.flip(-1)
    if augment.color:
        brightness, contrast = (1 + augment.color * (2 * torch.rand(2) - 1)).tolist()
        floats = values.float() * brightness
        mean = floats.mean()
        values = ((floats - mean) * contrast + mean).clamp(0, 255).to(torch.uint8)
    return values


def pixels(picture: Image.Image) -> UInt8[Tensor, "3 height width"]:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
