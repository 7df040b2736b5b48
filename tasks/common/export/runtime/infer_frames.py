"""Generate a sentence for each video, a folder of images or a .npy file: infer.py VIDEO ... [--beam 5]

The images are all frames, in the order of their names, at 25 a second. A .npy file has (frames, height, width, 3), the
frames that the model is to see, in 8 bits.
"""

import re
from pathlib import Path

import numpy as np
from PIL import Image
from search import SETTINGS, main

SOURCE = SETTINGS["source"]  # which frames are taken; top, bottom, left, right of what is; height and width in pixels
FRAME_RATE_HZ = 25


def natural_key(file):
    """Return a sort key with which frame2.jpg comes before frame10.jpg."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name) if part]


def select(total):
    """Return the indices of the frames in the middle of equal intervals of time."""
    by_rate = max(1, round(total / FRAME_RATE_HZ * SOURCE["fps"])) if SOURCE["fps"] else total
    count = min(SOURCE["num_frames"] or by_rate, SOURCE["max_frames"])
    if count >= total:
        return np.arange(total)
    moments = (np.arange(count) + 0.5) * (total / FRAME_RATE_HZ) / count
    return np.unique(np.searchsorted(np.arange(total) / FRAME_RATE_HZ, moments, side="right") - 1)


def read(name):
    """Return the selected frames of a video, as a batch of one."""
    (height, width), crop = SOURCE["size"], SOURCE["crop"]
    if Path(name).is_dir():
        files = sorted(Path(name).iterdir(), key=natural_key)
        images = [Image.open(files[index]).convert("RGB") for index in select(len(files))]
    else:
        images, crop = [Image.fromarray(frame) for frame in np.load(name)], ()
    frames = []
    for image in images:
        top, bottom, left, right = crop or (0, image.height, 0, image.width)
        box = (left, top, min(right, image.width), min(bottom, image.height))
        frames.append(np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box)))
    values = np.stack(frames).transpose(0, 3, 1, 2)[None]
    return {"values": values, "mask": np.ones(values.shape[:2], dtype=bool)}


if __name__ == "__main__":
    main(read)
