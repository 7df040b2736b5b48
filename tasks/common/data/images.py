"""Images of any size, mode and format that Pillow reads, as upright RGB."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from tasks.common.captioning_config import ImageAugmentConfig
from tasks.common.data.limits import MAX_IMAGE_TEXT_BYTES, MAX_MEGAPIXELS
from tasks.common.data.media_files import MediaError

Image.MAX_IMAGE_PIXELS = None  # ``open_image`` has a limit of its own, with an error message
# By Pillow's own limit of 1 MB, many a workflow breaks its image.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = MAX_IMAGE_TEXT_BYTES
MIN_SIDE = 8  # pixels


def open_image(source: str | bytes, side: int | None = None) -> Image.Image:
    """Read an image as upright RGB: the first frame of an animation, with transparent pixels in white.

    Args:
        source: A path, or a file's content.
        side: The size in pixels that the image will be resized to, so that a JPEG need not be decoded in more detail.

    Raises:
        MediaError: it can't be read.
    """
    try:
        if (len(source) if isinstance(source, bytes) else Path(source).stat().st_size) == 0:
            raise MediaError("is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about broken metadata, which nothing here depends on
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                width, height = image.size
                if width * height > MAX_MEGAPIXELS * 1_000_000:
                    raise MediaError(
                        f"has {width * height / 1e6:.0f} million pixels; at most {MAX_MEGAPIXELS} are allowed"
                    )
                if side:  # only now: of a progressive JPEG the decoder keeps all details in any case
                    image.draft("RGB", (2 * side, 2 * side))
                return to_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise MediaError("does not exist") from None
    except IsADirectoryError:
        raise MediaError("is a folder") from None
    except UnidentifiedImageError:
        raise MediaError("is not a readable image") from None
    except MediaError:
        raise
    except Exception as error:  # each format's decoder raises its own
        raise MediaError(f"is broken ({str(error).splitlines()[0] if str(error) else error!r})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any of Pillow's modes to RGB; other depths than 8 bits become 8."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(to_8_bits(np.asarray(image, dtype=np.float64), image.mode)).convert("RGB")
    if image.mode == "La":  # premultiplied, which Pillow converts in two steps alone
        image = image.convert("LA")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(image)
    if image.has_transparency_data or image.mode == "RGBa":
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_8_bits(values: Float[np.ndarray, "height width"], mode: str) -> UInt8[np.ndarray, "height width"]:
    """Scale gray values to 0 to 255 from the narrowest usual range that has them all, or else from their own.

    Args:
        values: The values; what is not finite becomes black.
        mode: Pillow's mode. Of I;16 the range is that of 16 bits, of I one of 8 or 16 bits, of F also 0 to 1.
    """
    values = np.where(np.isfinite(values), values, 0.0)
    low, high = min(0.0, values.min(initial=0)), values.max(initial=0)
    maxima = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 65535.0)}.get(mode, (65535.0,))
    usual = [maximum for maximum in maxima if high <= maximum]
    if usual and low == 0.0:
        high = usual[0]
    return ((values - low) / (high - low) * 255).astype(np.uint8)


def image_problem(source: str | bytes) -> str | None:
    """Describe what is wrong with an image, or return None. All of it is decoded, so that nothing can fail later."""
    try:
        width, height = open_image(source, side=MIN_SIDE).size
    except MediaError as error:
        return str(error)
    if min(width, height) < MIN_SIDE:
        return f"is {width} × {height} pixels; at least {MIN_SIDE} × {MIN_SIDE} are needed"
    return None


def load_pixels(
    source: str | bytes, side: int, augment: ImageAugmentConfig | None = None
) -> UInt8[Tensor, "3 side side"]:
    """Load an image, resized to ``side`` × ``side`` pixels: all of it, or a random crop with random colors."""
    image = open_image(source, side)
    if augment is None:
        return to_tensor(image.resize((side, side), Image.Resampling.BICUBIC))
    box = random_crop_box(*image.size, augment.crop)
    return color_jitter(to_tensor(image.resize((side, side), Image.Resampling.BICUBIC, box)), augment)


def random_crop_box(width: int, height: int, max_share: float) -> tuple[float, float, float, float]:
    """Sample left, top, right and bottom of a crop that removes up to ``max_share`` of the width and of the height."""
    removed = max_share * torch.rand(2)  # shares of the width and of the height
    starts = removed * torch.rand(2)
    (left, top), (right, bottom) = starts.tolist(), (1 - removed + starts).tolist()
    return left * width, top * height, right * width, bottom * height


def color_jitter(
    values: UInt8[Tensor, "*frames 3 height width"], augment: ImageAugmentConfig
) -> UInt8[Tensor, "*frames 3 h w"]:
    """Mirror at random, and change brightness and contrast at random; all frames in the same way."""
    if augment.flip and torch.rand(()) < 0.5:
        values = values.flip(-1)
    if augment.color:
        brightness, contrast = (1 + augment.color * (2 * torch.rand(2) - 1)).tolist()
        floats = values.float() * brightness
        mean = floats.mean()
        values = ((floats - mean) * contrast + mean).clamp(0, 255).to(torch.uint8)
    return values


def to_tensor(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
