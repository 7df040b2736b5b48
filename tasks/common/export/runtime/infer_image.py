"""Generate a sentence for each image, a file of 8 bits a channel: infer.py FILE ... [--beam 5]"""

import numpy as np
from PIL import Image, ImageOps
from search import SETTINGS, main

SIDE = SETTINGS["source"]["size"]  # pixels; 0 for .npy files of features


def read(file):
    """Return the pixels of an image, or the regions of features, as a batch of one."""
    if not SIDE:
        regions = np.load(file).astype(np.float32)
        regions = regions.reshape(1, -1, regions.shape[-1])
        return {"values": regions, "mask": np.ones(regions.shape[:2], dtype=bool)}
    image = Image.open(file)
    image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG need not be decoded in more detail
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return {"values": pixels.transpose(2, 0, 1)[None], "mask": np.ones((1, 1), dtype=bool)}


if __name__ == "__main__":
    main(read)
