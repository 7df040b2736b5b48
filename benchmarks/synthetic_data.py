"""Write synthetic data of each modality in a form that its task reads, so that a benchmark needs no data of anyone.

Sentences have the lengths of Multi30k's, and consist of all words of a vocabulary, each about as often as the others.
Nothing can be learned from them, and no speed that is measured here depends on it.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from tasks.toy_world.videos import write_video

# Mean and standard deviation of the logarithm of the number of words, and the correlation, of the English and German
# sentences of Multi30k's training split (words and punctuation marks).
ENGLISH, GERMAN, CORRELATION = (2.530, 0.299), (2.481, 0.326), 0.854
MIN_WORDS, MAX_WORDS = 4, 41  # of Multi30k's English sentences
NUM_VALIDATION = 8
FRAMES = (6.07, 0.3)  # the same of the frames of an utterance: 4.3 seconds in the median
FRAMES_PER_WORD = 25
NUM_MELS = 80
IMAGE_SIDE, VIDEO_SIDE, VIDEO_FRAMES = 128, 64, 8
GRID_SIDE = 8  # of the random squares that an image consists of


def save_text(folder: Path, num_examples: int, num_words: int) -> None:
    """Write train.en, train.de, val.en and val.de."""
    rng = np.random.default_rng(1)
    words = deal_words(rng, num_words)
    for split, count in (("train", num_examples), ("val", NUM_VALIDATION)):
        english = rng.standard_normal(count)
        german = CORRELATION * english + (1 - CORRELATION**2) ** 0.5 * rng.standard_normal(count)
        for name, normal, distribution in (("en", english, ENGLISH), ("de", german, GERMAN)):
            lines = [take_words(words, length) for length in lengths_of(normal, distribution)]
            (folder / f"{split}.{name}").write_text("\n".join(lines) + "\n", encoding="utf-8")


def save_speech(folder: Path, num_examples: int, num_words: int) -> None:
    """Write utterances of log-mel frames as .npy files, with a transcript each."""

    def save_utterance(path: Path, rng: np.random.Generator) -> int:
        mean, std = FRAMES
        num_frames = int(np.exp(mean + std * rng.standard_normal()))
        np.save(path, rng.standard_normal((num_frames, NUM_MELS), dtype=np.float32))
        return max(1, num_frames // FRAMES_PER_WORD)

    save_media(folder, num_examples, num_words, save_utterance, ".npy", "text")


def save_images(folder: Path, num_examples: int, num_words: int) -> None:
    """Write images of random squares, with a caption each."""

    def save_image(path: Path, rng: np.random.Generator) -> int:
        Image.fromarray(random_squares(rng, 1, IMAGE_SIDE)[0]).save(path)
        return int(lengths_of(rng.standard_normal(1), ENGLISH)[0])

    save_media(folder, num_examples, num_words, save_image, ".png", "captions")


def save_videos(folder: Path, num_examples: int, num_words: int) -> None:
    """Write videos of random squares, with a caption each."""

    def save_video(path: Path, rng: np.random.Generator) -> int:
        write_video(random_squares(rng, VIDEO_FRAMES, VIDEO_SIDE), path)
        return int(lengths_of(rng.standard_normal(1), ENGLISH)[0])

    save_media(folder, num_examples, num_words, save_video, ".mp4", "captions")


def save_media(
    folder: Path,
    num_examples: int,
    num_words: int,
    save_file: Callable[[Path, np.random.Generator], int],
    suffix: str,
    column: str,
) -> None:
    """Write the splits train and validation, each with a table of its files and their sentences.

    Args:
        folder: The folder of the splits.
        num_examples: Files for training.
        num_words: Words of the vocabulary.
        save_file: Writes a file, and returns the number of words of its sentence.
        suffix: The ending of the files' names.
        column: The column of the sentences.
    """
    rng = np.random.default_rng(1)
    words = deal_words(rng, num_words)
    for split, count in (("train", num_examples), ("validation", NUM_VALIDATION)):
        (folder / split).mkdir(parents=True)
        with (folder / split / "metadata.jsonl").open("w", encoding="utf-8") as table:
            for number in range(count):
                name = f"{number}{suffix}"
                sentence = take_words(words, save_file(folder / split / name, rng))
                table.write(json.dumps({"file_name": name, column: sentence}) + "\n")


def deal_words(rng: np.random.Generator, num_words: int) -> Iterator[str]:
    """Yield words forever: all of a vocabulary in random order, then all of them again."""
    while True:
        yield from (f"w{number}" for number in rng.permutation(num_words).tolist())


def take_words(words: Iterator[str], count: int) -> str:
    """Return a sentence of the next words."""
    return " ".join(next(words) for _ in range(count))


def lengths_of(normal: Float[np.ndarray, " count"], distribution: tuple[float, float]) -> Int[np.ndarray, " count"]:
    """Return numbers of words, given standard normal numbers, and mean and standard deviation of the logarithm."""
    mean, std = distribution
    return np.exp(mean + std * normal).round().clip(MIN_WORDS, MAX_WORDS).astype(int)


def random_squares(rng: np.random.Generator, num_frames: int, side: int) -> np.ndarray:
    """Return uint8 pixels, (frames, side, side, 3), with squares of random colors in each frame."""
    colors = rng.integers(256, size=(num_frames, GRID_SIDE, GRID_SIDE, 3), dtype=np.uint8)
    size = side // GRID_SIDE
    return colors.repeat(size, axis=1).repeat(size, axis=2)
