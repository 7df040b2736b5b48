"""Batches: which rows share one, what one holds, and a dataset of batches for worker processes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

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
    """

    source: SourceBatch
    tokens: Int[Tensor, "targets target"]
    rows: list[int]
    source_index: Int[Tensor, " targets"] | None = None

    def to(self, device: torch.device) -> "Batch":
        tokens = self.tokens.to(device, non_blocking=True)
        source_index = None if self.source_index is None else self.source_index.to(device, non_blocking=True)
        return Batch(self.source.to(device), tokens, self.rows, source_index)

    @property
    def num_target_tokens(self) -> int:
        """The number of tokens to predict, EOS included, padding excluded."""
        return int((self.tokens[:, 1:] != PAD).sum())


class BatchSampler:
    """Group rows into batches, in an order that depends on the seed and the epoch alone, so a run can be resumed.

    Rows are shuffled and divided into pools of many batches. Each pool is sorted by length, so that little of a batch
    is padding, and divided into batches, which are shuffled again.

    Attributes:
        rows: The rows that are used.
        num_skipped: The number of rows that are too long.
    """

    BATCHES_PER_POOL = 256  # large enough to sort well, small enough to mix rows
    LENGTH_NOISE = 0.03  # relative, for sorting the rows of a small corpus

    def __init__(
        self,
        lengths: Sequence[tuple[int, int]],
        config: BatchConfig,
        seed: int,
        *,
        num_targets: Sequence[int] | None = None,
        drop_too_long: bool = False,
    ):
        """Choose the rows to use.

        Args:
            lengths: The lengths of the source and of the longest target of each row.
            config: The sizes of batches.
            seed: The seed of the order.
            num_targets: The number of targets of each row in a batch (None: one each).
            drop_too_long: Skip rows longer than max_source_length or max_target_length.
        """
        self.lengths = torch.tensor(lengths, dtype=torch.long).view(-1, 2)
        self.num_targets = torch.tensor([1] * len(lengths) if num_targets is None else num_targets)
        limits = torch.tensor([config.max_source_length, config.max_target_length])
        is_used = (self.lengths <= limits).all(dim=1) | (not drop_too_long)
        self.rows = is_used.nonzero().squeeze(1)
        self.num_skipped = len(is_used) - len(self.rows)
        self.config = config
        self.seed = seed

    def epoch(self, number: int) -> list[list[int]]:
        """Return the batches of an epoch in their order, each a list of rows."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        shuffled = self.rows[torch.randperm(len(self.rows), generator=generator)]
        pools = shuffled.split(self.BATCHES_PER_POOL * self.config.max_sources)
        noise = None
        if len(pools) == 1:  # the corpus would have nearly the same batches in every epoch
            noise = 1 + self.LENGTH_NOISE * (2 * torch.rand(len(self.lengths), generator=generator) - 1)
        batches = [batch for pool in pools for batch in self.make_batches(pool, noise)]
        return [batches[index] for index in torch.randperm(len(batches), generator=generator)]

    def by_length(self) -> list[list[int]]:
        """Return batches of all rows sorted by length, for evaluation, where the order does not matter."""
        return list(self.make_batches(self.rows))

    def make_batches(
        self, rows: Int[Tensor, " rows"], noise: Float[Tensor, " all_rows"] | None = None
    ) -> Iterator[list[int]]:
        """Sort rows by length and divide them into batches, each as large as the configuration allows.

        Args:
            rows: The rows.
            noise: Factors of the lengths of all rows, for sorting alone.
        """
        if len(rows) == 0:
            return
        source, target = self.lengths[rows].T
        if noise is not None:
            source, target = ((lengths * noise[rows]).round().long() for lengths in (source, target))
        order = (source * (target.max() + 1) + target).argsort(stable=True)
        lengths, counts = self.lengths[rows].tolist(), self.num_targets[rows].tolist()
        batch: list[int] = []
        longest, num_targets = (0, 0), 0
        for index in order.tolist():
            longest = max(longest[0], lengths[index][0]), max(longest[1], lengths[index][1])
            size, num_targets = len(batch) + 1, num_targets + counts[index]
            is_too_large = size * longest[0] > self.config.max_source_size
            is_too_large |= num_targets * longest[1] > self.config.max_target_size
            if batch and (is_too_large or size > self.config.max_sources):
                yield batch
                batch, longest, num_targets = [], tuple(lengths[index]), counts[index]
            batch.append(int(rows[index]))
        if batch:
            yield batch


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
        position: Its place in the epoch, over all processes.
    """

    part: str
    rows: list[int]
    position: int


class BatchDataset(Dataset[Batch]):
    """A dataset whose items are whole batches, so that worker processes can prepare them.

    The augmentation of a batch is seeded by the run's seed, the epoch and the position of the batch in the epoch: it
    is different in every epoch, and the same after a resume and for any number of processes.
    """

    def __init__(
        self,
        parts: Mapping[str, Collator],
        examples: Mapping[str, "datasets.Dataset"],
        batches: Sequence[PlannedBatch],
        *,
        seed: int,
        epoch: int,
    ):
        """Keep the batches, and the tasks and examples of each part."""
        self.parts, self.examples, self.batches = parts, examples, batches
        self.seed = seed * 100_003 + epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        batch = self.batches[index]
        torch.manual_seed(self.seed * 1_000_003 + batch.position)
        return self.parts[batch.part].collate(self.examples[batch.part], batch.rows, training=True)
