"""How much of its time the extraction of frozen features spends in the encoder.

    python benchmarks/extraction.py --data FOLDER --pretrained FOLDER_OR_ID [--pictures 256] [--rounds 3]

Two ways to the same features: as ``train`` gets them, from files to what is kept on disk, and the encoder alone on
the same batches when they already lie in memory. Rounds alternate, since machines are shared; medians count. A third
number is how long it takes to find the features that are already kept.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable

import torch

from encoders.base import SourceBatch
from tasks.common.data.precompute import BATCH_SIZE, precompute
from tasks.image_captioning import PRESETS, Task
from tasks.image_captioning.task import ImageEncoderConfig


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="The extraction of frozen features beside the encoder alone.")
    parser.add_argument("--data", required=True, help="a folder of pictures with captions")
    parser.add_argument("--pretrained", required=True, help="folder or hub id of an image model")
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    encoder = ImageEncoderConfig(pretrained=options.pretrained)
    task = Task(dataclasses.replace(PRESETS["flickr8k"](), data=options.data, encoder=encoder))
    examples = task.load("train").select(range(options.pictures))
    task.fit(examples)
    frontend = task.build_model().encoder.frontend
    starts = range(0, options.pictures, BATCH_SIZE)
    batches = [task.collate_sources(examples["source"][i : i + BATCH_SIZE], training=False) for i in starts]

    @torch.inference_mode()
    def forward(sources: list[SourceBatch]) -> None:
        for source in sources:
            frontend(source)

    frontend.eval()
    forward(batches[:1])  # the first pass of all is slower
    plain: list[float] = []
    whole: list[float] = []
    again: list[float] = []
    for _ in range(options.rounds):
        plain.append(seconds(lambda: forward(batches)))
        with tempfile.TemporaryDirectory() as empty:
            os.environ["XDG_CACHE_HOME"] = empty
            whole.append(seconds(lambda: precompute(task, frontend, examples)))
            again.append(seconds(lambda: precompute(task, frontend, examples)))
    rates = [options.pictures / statistics.median(times) for times in (plain, whole)]
    print(f"{torch.get_num_threads()} threads, {options.pictures} pictures, medians of {options.rounds} rounds")
    print(f"the encoder alone: {rates[0]:.1f} pictures/s")
    print(f"files to features: {rates[1]:.1f} pictures/s, {rates[1] / rates[0]:.2f} of it")
    print(f"found again in {statistics.median(again):.2f} s")


if __name__ == "__main__":
    main()
