"""Accuracy of word times on the spoken toy world, whose synthesizer tells when each word begins and ends.

    python benchmarks/word_times.py RUN [RUN ...] [--split test] [--count 300]

RUN: runs of speech_recognition. Only words of sentences that are recognized without an error count, and only those of
which espeak-ng tells the times.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from tasks import load
from tasks.common.inference.prediction import Prediction
from tasks.common.text.words import split_words
from tasks.toy_world.speech import SpokenWord, Synthesize, toy_recordings

SEED = 1


def spoken_words(split: str, texts: list[str]) -> list[list[SpokenWord]]:
    """Return the words of the toy recordings of these texts with their times."""
    synthesize = Synthesize(split, SEED)
    return [synthesize.speak(text, synthesize.generator(number))[1] for number, text in enumerate(texts)]


def errors_s(prediction: Prediction, spoken: list[SpokenWord]) -> tuple[list[float], list[float]]:
    """Return how much later than spoken each start and each end is, in seconds; nothing of a wrong sentence."""
    found = prediction.words or []
    if split_words(prediction.text) != split_words(" ".join(word.text for word in spoken)):
        return [], []
    pairs = list(zip(found, spoken, strict=True))
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(found)), "words overlap"
    starts = [word.start - true.start for word, true in pairs if true.start is not None]
    return starts, [word.end - true.end for word, true in pairs if true.end is not None]


def describe(errors: list[float]) -> str:
    """Describe errors in milliseconds: median and 90th percentile of their size, and their median with the sign."""
    milliseconds = 1000 * np.array(errors)
    size = np.abs(milliseconds)
    within = 100 * float((size <= 100).mean())
    return f"{np.median(size):.0f} | {np.percentile(size, 90):.0f} | {np.median(milliseconds):+.0f} | {within:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    recordings = toy_recordings(options.split, options.count, SEED)
    spoken = spoken_words(options.split, recordings["text"])
    print(
        "| run | sentences | starts: median | 90 % | bias | within 100 ms "
        "| ends: median | 90 % | bias | within 100 ms |"
    )
    for run in options.runs:
        predictions = load(run)([audio["bytes"] for audio in recordings["audio"]])
        assert isinstance(predictions, list)
        errors = [errors_s(each, words) for each, words in zip(predictions, spoken, strict=True)]
        starts, ends = ([error for each in errors for error in each[part]] for part in range(2))
        count = sum(bool(each[0]) for each in errors)
        print(f"| {Path(run).name} | {count} | {describe(starts)} | {describe(ends)} |")


if __name__ == "__main__":
    main()
