"""The batches of each step of training: their order, and the share of each process."""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import datasets
from torch.utils.data import DataLoader

from tasks.common.cores import count_cores
from tasks.common.data.batching import Batch, BatchDataset, BatchPlan, BatchSampler
from tasks.common.data.mixing import BatchMixer
from tasks.common.errors import UsageError
from tasks.common.task import Task
from tasks.common.task_group import TaskGroup, naming_part
from tasks.common.training.config import TrainConfig
from tasks.common.training.processes import TrainingProcesses
from tasks.common.training.signals import init_worker

MAX_WORKERS = 4  # for a GPU by default: a common choice, which was not measured


@dataclass(frozen=True)
class StepBatches:
    """The batches of this process in one step.

    Attributes:
        batches: The batches, at least one.
        part: The name of the part that they are of.
        is_dummy: True if the last, incomplete step of an epoch has no batch for this process. Since every process must
            take part in the gradient synchronization, it computes a batch of another process, with zero loss.
        num_batches: The number of batches of all processes.
        ends_epoch: Whether it is the last step of its epoch.
    """

    batches: list[Batch]
    part: str
    is_dummy: bool
    num_batches: int
    ends_epoch: bool

    @property
    def num_tokens(self) -> int:
        return 0 if self.is_dummy else sum(batch.num_target_tokens for batch in self.batches)


class TrainingBatches:
    """The training examples of all parts, divided into batches, steps and epochs.

    A step is ``train.grad_accum_steps`` batches for each process, all of one part; the last step of an epoch may have
    fewer.

    Attributes:
        examples: The examples of each part, tokenized where that can be done once.
        samplers: The sampler of their batches.
    """

    def __init__(self, group: TaskGroup, examples: Mapping[str, datasets.Dataset], processes: TrainingProcesses):
        """Choose the examples to train on.

        Raises:
            UsageError: if all those of a part are too long.
        """
        self.group, self.processes = group, processes
        self.examples = {name: part.tokenize(examples[name]) for name, part in group.parts.items()}
        self.config = group.config.train
        self.step_size = self.config.grad_accum_steps * processes.count
        self.samplers: dict[str, BatchSampler] = {}
        for name, part in group.parts.items():
            with naming_part(name):
                self.samplers[name] = make_sampler(part, self.examples[name], self.step_size)
        shares = group.shares({name: len(sampler.epoch(0)) for name, sampler in self.samplers.items()})
        mixer = BatchMixer(self.samplers, shares, seed=self.config.seed, step_size=self.step_size)
        self.epoch = functools.lru_cache(maxsize=1)(mixer.epoch)  # each evaluation asks for it again
        self.planned = BatchPlan()
        num_workers = count_workers(self.config, processes)
        self.loader = DataLoader(
            BatchDataset(group.parts, self.examples, seed=self.config.seed),
            batch_size=None,
            sampler=self.planned,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=processes.device.type == "cuda",
            worker_init_fn=init_worker,
        )

    @property
    def num_examples(self) -> int:
        return sum(map(len, self.examples.values()))

    @property
    def num_skipped(self) -> int:
        """The number of examples that are too long."""
        return sum(sampler.num_skipped for sampler in self.samplers.values())

    def count_steps(self, epoch: int, batches_done: int = 0) -> int:
        """Count the steps of an epoch, or the remaining ones after some of its batches."""
        return math.ceil((len(self.epoch(epoch)) - batches_done) / self.step_size)

    def epochs_done(self, epoch: int, batches_done: int) -> float:
        """Return the length of training in epochs, the fraction of the current one included."""
        return epoch + batches_done / len(self.epoch(epoch))

    def load(self, epoch: int, batches_done: int) -> Iterator[StepBatches]:
        """Collate this process's batches of each remaining step of an epoch, in worker processes if there are any.

        Args:
            epoch: The number of the epoch, from 0.
            batches_done: The batches of its steps so far.
        """
        batches = self.epoch(epoch)
        left = range(batches_done, len(batches))
        steps = [left[start : start + self.step_size] for start in range(0, len(left), self.step_size)]
        shares = [self.processes.share(step) for step in steps]
        positions = [position for step, share in zip(steps, shares, strict=True) for position in share or step[:1]]
        self.planned.change(epoch, batches, positions)
        loader = iter(self.loader)
        for step, share in zip(steps, shares, strict=True):
            loaded = [next(loader) for _ in share or step[:1]]
            part, _ = batches[step[0]]
            yield StepBatches(loaded, part, not share, num_batches=len(step), ends_epoch=step is steps[-1])


def count_workers(config: TrainConfig, processes: TrainingProcesses) -> int:
    """Return the number of worker processes of this process.

    A GPU waits for this process alone, which should then prepare no batches; a CPU has its cores for the training.

    Raises:
        UsageError: for more than there are cores.
    """
    num_cores = count_cores()
    if config.num_workers is None:
        return min(MAX_WORKERS, max(0, num_cores // processes.count - 1)) if processes.device.type == "cuda" else 0
    if config.num_workers > num_cores:
        raise UsageError(
            f"train.num_workers is {config.num_workers}; allowed is at most the number of cores, {num_cores}"
        )
    return config.num_workers


def make_sampler(task: Task, examples: datasets.Dataset, step_size: int) -> BatchSampler:
    """Make the sampler of a task's training examples, in steps of so many batches.

    Raises:
        UsageError: if all of them are too long.
    """
    batch = task.config.batch
    sampler = BatchSampler(
        task.example_lengths(examples),
        batch,
        task.config.train.seed,
        num_targets=task.num_targets(examples, training=True),
        drop_too_long=True,
        step_size=step_size,
    )
    if len(sampler.rows) == 0:
        raise UsageError(
            f"all {len(examples)} training examples are longer than batch.max_source_length "
            f"({batch.max_source_length}) or batch.max_target_length ({batch.max_target_length})"
        )
    return sampler
