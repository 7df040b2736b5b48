"""Batches: which rows share one, what one holds, and a dataset of batches for worker processes."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from decoders.base import PAD
from encoders.base import SourceBatch
from tasks.common.data.config import BatchConfig

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Batch:
    """Several examples, padded.

    Attributes:
        source: The sources.
        tokens: Target sentences with BOS and EOS.
        rows: The rows of the dataset that the sources come from.
        source_index: The source that each target belongs to, where a source may have several targets (None: one
            target per source, in the same order).
        num_tokens: ``num_target_tokens``, where it is known without asking the device.
    """

    source: SourceBatch
    tokens: Int[Tensor, "targets target"]
    rows: list[int]
    source_index: Int[Tensor, " targets"] | None = None
    num_tokens: int | None = None

    @property
    def num_target_tokens(self) -> int:
        """The number of tokens to predict, EOS included, padding excluded."""
        return int((self.tokens[:, 1:] != PAD).sum()) if self.num_tokens is None else self.num_tokens

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device, and keep the number of its tokens."""
        moved = self.map(lambda tensor: tensor.to(device, non_blocking=True), self.source.to(device))
        return replace(moved, num_tokens=self.num_target_tokens)

    def pin_memory(self) -> "Batch":
        """Move the batch to memory from which a GPU copies while the program goes on; called by a DataLoader."""
        return self.map(Tensor.pin_memory, self.source.pin_memory())

    def map(self, function: Callable[[Tensor], Tensor], source: SourceBatch) -> "Batch":
        """Apply a function that keeps the values to the tensors of the targets."""
        source_index = None if self.source_index is None else function(self.source_index)
        return replace(self, source=source, tokens=function(self.tokens), source_index=source_index)


class RowBatches(Sequence[list[int]]):
    """Batches of rows, kept as two arrays, since objects for millions of rows would take several times as much.

    Attributes:
        rows: The rows of all batches.
        bounds: Where each batch begins and ends in them.
    """

    def __init__(self, rows: Int[np.ndarray, " rows"], bounds: Int[np.ndarray, "batches 2"]):
        self.rows, self.bounds = rows, bounds

    def __len__(self) -> int:
        return len(self.bounds)

    def __getitem__(self, index: int) -> list[int]:  # pyright: ignore[reportIncompatibleMethodOverride]
        start, end = self.bounds[index].tolist()
        return self.rows[start:end].tolist()

    def permuted(self, order: Int[np.ndarray, " batches"]) -> "RowBatches":
        """Return the batches in another order."""
        return RowBatches(self.rows, self.bounds[order])


class BatchSampler:
    """Group rows into batches, in an order that depends on nothing but the seed, the epoch and the size of a step.

    So a run can be resumed.

    Rows are shuffled and divided into pools of many batches. Each pool is sorted by length, so that little of a batch
    is padding, and divided into batches, which are shuffled again. Those of a step stay together: they are of similar
    lengths, so that processes wait less for one another.

    Attributes:
        rows: The rows that are used.
        num_skipped: The number of rows that are too long.
        epoch: Returns the batches of the epoch with a number, in their order; the last epoch is kept.
    """

    BATCHES_PER_POOL = 256  # large enough to sort well, small enough to mix rows
    LENGTH_NOISE = 0.03  # relative, for sorting the rows of a small corpus

    def __init__(
        self,
        lengths: Sequence[tuple[int, int]] | Int[np.ndarray, "rows 2"],
        config: BatchConfig,
        seed: int,
        *,
        num_targets: Sequence[int] | Int[np.ndarray, " rows"] | None = None,
        drop_too_long: bool = False,
        step_size: int = 1,
    ):
        """Choose the rows to use.

        Args:
            lengths: The lengths of the source and of the longest target of each row.
            config: The sizes of batches.
            seed: The seed of the order.
            num_targets: The number of targets of each row in a batch (None: one each).
            drop_too_long: Skip rows longer than max_source_length or max_target_length.
            step_size: The number of batches of a step, in which the batches of an epoch follow one another.
        """
        self.lengths = torch.from_numpy(np.asarray(lengths, dtype=np.int64).reshape(-1, 2))
        self.num_targets = None if num_targets is None else np.asarray(num_targets)
        limits = torch.tensor([config.max_source_length, config.max_target_length])
        is_used = (self.lengths <= limits).all(dim=1) | (not drop_too_long)
        self.rows = is_used.nonzero().squeeze(1)
        self.num_skipped = len(is_used) - len(self.rows)
        self.config = config
        self.seed = seed
        self.step_size = step_size
        self.epoch = functools.lru_cache(maxsize=1)(self.make_epoch)  # several ask for the same one

    def make_epoch(self, number: int) -> RowBatches:
        """Divide the rows into the batches of an epoch."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        shuffled = self.rows[torch.randperm(len(self.rows), generator=generator)]
        pools = shuffled.split(self.BATCHES_PER_POOL * self.config.max_sources)
        noise = None
        if len(pools) == 1:  # the corpus would have nearly the same batches in every epoch
            noise = 1 + self.LENGTH_NOISE * (2 * torch.rand(len(self.lengths), generator=generator) - 1)
        batches = self.make_batches(pools, noise)
        num_steps, num_left = divmod(len(batches), self.step_size)
        order = torch.randperm(num_steps, generator=generator).numpy()
        # The last, incomplete step is of any batches, since the longest ones would be in it again and again.
        last = torch.randperm(len(batches), generator=generator)[:num_left].numpy()
        steps = np.delete(np.arange(len(batches)), last).reshape(num_steps, self.step_size)
        return batches.permuted(np.concatenate([steps[order].flatten(), last]))

    def by_length(self) -> RowBatches:
        """Return batches of all rows sorted by length, for evaluation, where the order does not matter."""
        return self.make_batches([self.rows])

    def make_batches(
        self, pools: Sequence[Int[Tensor, " _"]], noise: Float[Tensor, " all_rows"] | None = None
    ) -> RowBatches:
        """Sort the rows of each pool by length and divide them into batches, as large as the configuration allows.

        Args:
            pools: The rows of each pool.
            noise: Factors of the lengths of all rows, for sorting alone.
        """
        ordered, bounds, first = [], [], 0
        for pool in filter(len, pools):
            source, target = self.lengths[pool].T
            if noise is not None:
                source, target = ((lengths * noise[pool]).round().long() for lengths in (source, target))
            rows = pool[(source * (target.max() + 1) + target).argsort(stable=True)].numpy()
            starts = np.fromiter(self.batch_starts(rows), dtype=np.int64)
            bounds.append(first + np.stack([starts, np.append(starts[1:], len(rows))], axis=1))
            ordered.append(rows)
            first += len(rows)
        if not ordered:
            return RowBatches(np.empty(0, np.int64), np.empty((0, 2), np.int64))
        return RowBatches(np.concatenate(ordered), np.concatenate(bounds))

    def batch_starts(self, rows: Int[np.ndarray, " rows"]) -> Iterator[int]:
        """Yield where each batch begins in rows: a batch ends before the row that would make it too large."""
        config = self.config
        lengths = self.lengths.numpy()[rows]
        counts = None if self.num_targets is None else self.num_targets[rows]
        sizes = np.arange(1, config.max_sources + 2)
        start = 0
        while start < len(rows):
            yield start
            window = slice(start, start + len(sizes))
            longest = np.maximum.accumulate(lengths[window])
            size = sizes[: len(longest)]
            num_targets = size if counts is None else counts[window].cumsum()
            is_too_large = size * longest[:, 0] > config.max_source_size
            is_too_large |= num_targets * longest[:, 1] > config.max_target_size
            is_too_large |= size > config.max_sources
            is_too_large[0] = False  # a row that is larger than a batch is a batch alone
            end = int(is_too_large.argmax())
            start += end or len(size)


@runtime_checkable
class Collator(Protocol):
    """Makes a batch of some rows of a dataset, as every task does."""

    def collate(self, examples: "datasets.Dataset", rows: list[int], training: bool = False) -> Batch: ...


@dataclass(frozen=True)
class PlannedBatch:
    """A batch to be made.

    Attributes:
        part: The name of the dataset that its rows are of.
        rows: The rows.
        epoch: The number of the epoch.
        position: Its place in the epoch, over all processes.
    """

    part: str
    rows: list[int]
    epoch: int
    position: int


class BatchPlan(Sampler[PlannedBatch]):
    """The batches that a loader makes next: those at some positions of an epoch, each planned when it is due."""

    def __init__(self):
        self.change(0, (), ())

    def change(self, epoch: int, batches: Sequence[tuple[str, list[int]]], positions: Sequence[int]) -> None:
        """Plan others.

        Args:
            epoch: The number of the epoch.
            batches: Its batches: the part of each, and its rows.
            positions: The places in the epoch of those that are made.
        """
        self.epoch, self.batches, self.positions = epoch, batches, positions

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[PlannedBatch]:
        for position in self.positions:
            part, rows = self.batches[position]
            yield PlannedBatch(part, rows, self.epoch, position)


class BatchDataset(Dataset[Batch]):
    """A dataset whose items are whole batches, so that worker processes can prepare them; its indices are their plans.

    The augmentation of a batch is seeded by the run's seed, the epoch and the position of the batch in the epoch: it
    is different in every epoch, and the same after a resume and for any number of processes with steps of one size.
    """

    def __init__(
        self,
        parts: Mapping[str, Collator],
        examples: "Mapping[str, datasets.Dataset]",
        *,
        seed: int,
    ):
        """Keep the tasks and examples of each part, and the run's seed."""
        self.parts, self.examples, self.seed = parts, examples, seed

    def __getitem__(self, batch: PlannedBatch) -> Batch:
        torch.manual_seed((self.seed * 100_003 + batch.epoch) * 1_000_003 + batch.position)
        return self.parts[batch.part].collate(self.examples[batch.part], batch.rows, training=True)
