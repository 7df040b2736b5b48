"""The toy world's data in the form of files and their texts, in which the tasks read all data.

Digits and voices come with an extra, so the modules that need them are imported where their data are made.
"""

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.toy_world.scenes import describe

if TYPE_CHECKING:
    import datasets

# Training examples for each test example: of images and videos, and of recordings.
TRAIN_PER_TEST, TRAIN_PER_TEST_RECORDING = 16, 10


def toy_captioned_images(split: str, num_train: int) -> "datasets.Dataset":
    """Return the images of a split: columns source (a file's path and bytes) and captions, several for each image.

    The validation split has 1/20, and the test split 1/16, of the ``num_train`` images of the training split.
    """
    from tasks.toy_world.images import toy_images

    scenes, images = toy_images(split, split_size(split, num_train, validation=20, test=TRAIN_PER_TEST))
    return images.add_column("captions", [describe(scene, "en") for scene in scenes])


def toy_captioned_videos(split: str, num_train: int) -> "datasets.Dataset":
    """Return the videos of a split, in the form and number of ``toy_captioned_images``."""
    from tasks.toy_world.videos import toy_clips

    return toy_clips(split, split_size(split, num_train, validation=20, test=TRAIN_PER_TEST))


def toy_transcribed_speech(split: str, num_train: int) -> "datasets.Dataset":
    """Return the recordings of a split: columns audio (a file's path and bytes) and text.

    The validation split has 1/15, and the test split 1/10, of the ``num_train`` recordings of the training split.
    """
    from tasks.toy_world.speech import toy_recordings

    return toy_recordings(split, split_size(split, num_train, validation=15, test=TRAIN_PER_TEST_RECORDING))


def split_size(split: str, num_train: int, *, validation: int, test: int) -> int:
    """Return the number of examples in a split: a fraction of the training examples, rounded up.

    Args:
        split: train, validation or test.
        num_train: The number of training examples.
        validation: The denominator of the validation split's fraction.
        test: The denominator of the test split's fraction.
    """
    return -(-num_train // {"train": 1, "validation": validation, "test": test}[split])


def as_video_file(content: bytes) -> bytes:
    """Return the content of an .mp4 file with the frames of a video of the toy world, which is a .npy file."""
    from tasks.toy_world.videos import write_video

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(np.load(io.BytesIO(content), allow_pickle=False), path)
        return path.read_bytes()
