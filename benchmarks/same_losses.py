"""Print the losses of the first training steps of every task's tiny preset, to the last digit.

Run it before and after a change that must not change what is learned, and compare the outputs:

    python benchmarks/same_losses.py > before.txt

Task names as arguments limit it to these tasks.
"""

import dataclasses
import sys
import tempfile
from pathlib import Path

import torch

import tasks
from tasks import run
from tasks.common.task import Task
from tasks.common.training.taken_step import TakenStep
from tasks.common.training.trainer import Trainer

NUM_STEPS = 20


class Recorder(Trainer):
    """A trainer that records the loss of each step, summed over its tokens, and neither evaluates nor saves."""

    def __init__(self, task: Task, folder: Path):
        super().__init__(task, folder, resume=False)
        self.losses: list[float] = []

    def check_finite(self, name: str, value: float, step: TakenStep) -> None:
        self.losses.append(value)

    def should_stop(self) -> bool:
        return len(self.losses) >= NUM_STEPS

    def evaluate(self) -> None: ...

    def save(self) -> None: ...

    def finish(self) -> None: ...


def record_losses(name: str) -> list[float]:
    """Train a task's tiny preset with seed 1 and return the losses of its first steps."""
    config = tasks.package(name).PRESETS["tiny"]()
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=1, epochs=NUM_STEPS))
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(tasks.task_class(name)(config), Path(folder))
        recorder.run()
    return recorder.losses


if __name__ == "__main__":
    torch.set_num_threads(1)
    with_tiny = [name for name in run.TASKS if "tiny" in tasks.package(name).PRESETS]
    for name in sys.argv[1:] or with_tiny:
        print(name, *(loss.hex() for loss in record_losses(name)), flush=True)
