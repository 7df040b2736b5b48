"""Compare the computation of frozen features with a forward pass of the encoder alone.

    python benchmarks/extraction.py --data FOLDER --pretrained FOLDER_OR_ID [--images 256] [--rounds 3]

The same features are computed in two ways: as in ``train``, from image files to the cache on disk, and by the encoder
alone on the same batches, which are in memory already. The rounds alternate between the two, since other programs may
disturb the measurement, and medians are printed; so is the time to read features that are in the cache already.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import cast

import torch

from encoders.base import SourceBatch
from encoders.image import ImageEncoder
from tasks.common.training.precompute import BATCH_SIZE, precompute
from tasks.image_captioning import PRESETS
from tasks.image_captioning.config import ImageEncoderConfig
from tasks.image_captioning.task import ImageCaptioning as Task


def measure_seconds(function: Callable[[], object]) -> float:
    """Return the seconds that a call of ``function`` takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="Compare feature extraction with the encoder alone.")
    parser.add_argument("--data", required=True, help="folder of images with captions")
    parser.add_argument("--pretrained", required=True, help="folder or hub id of an image model")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    encoder = ImageEncoderConfig(pretrained=options.pretrained)
    task = Task(dataclasses.replace(PRESETS["flickr8k"](), data=options.data, encoder=encoder))
    examples = task.load("train").select(range(options.images))
    task.fit(examples)
    frontend = cast(ImageEncoder, task.build_model().encoder).frontend
    starts = range(0, options.images, BATCH_SIZE)
    batches = [task.collate_sources(examples["source"][i : i + BATCH_SIZE], training=False) for i in starts]

    @torch.inference_mode()
    def forward(sources: list[SourceBatch]) -> None:
        for source in sources:
            frontend(source)

    frontend.eval()
    forward(batches[:1])  # the first pass is slower
    forward_seconds: list[float] = []
    extraction_seconds: list[float] = []
    cached_seconds: list[float] = []
    for _ in range(options.rounds):
        forward_seconds.append(measure_seconds(lambda: forward(batches)))
        with tempfile.TemporaryDirectory() as empty:
            os.environ["XDG_CACHE_HOME"] = empty
            extraction_seconds.append(measure_seconds(lambda: precompute(task, frontend, examples)))
            cached_seconds.append(measure_seconds(lambda: precompute(task, frontend, examples)))
    forward_rate, extraction_rate = (
        options.images / statistics.median(seconds) for seconds in (forward_seconds, extraction_seconds)
    )
    print(f"{torch.get_num_threads()} threads, {options.images} images, medians of {options.rounds} rounds")
    print(f"encoder alone: {forward_rate:.1f} images/s")
    print(f"files to cached features: {extraction_rate:.1f} images/s, {extraction_rate / forward_rate:.2f} of that")
    print(f"features read from the cache in {statistics.median(cached_seconds):.2f} s")


if __name__ == "__main__":
    main()
