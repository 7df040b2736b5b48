"""The batches of several datasets in one epoch."""

import functools
from collections.abc import Iterator, Mapping

import torch

from tasks.common.data.batching import BatchSampler

PartBatch = tuple[str, list[int]]  # the name of a dataset, and the rows of a batch


class BatchMixer:
    """Mix the batches of several datasets, in an order that depends on the seed and the epoch alone.

    An epoch has as many batches as all datasets together. Each dataset has its share of them, at least one step, and
    goes through its own batches from epoch to epoch: with a larger share than its size it begins again within an epoch,
    and with a smaller one it takes several. The batches of a step are all of the same dataset. A single dataset has the
    epochs of its sampler.
    """

    def __init__(self, samplers: Mapping[str, BatchSampler], shares: Mapping[str, float], *, seed: int, step_size: int):
        """Keep the samplers of the datasets by their names.

        Args:
            samplers: The samplers, each with one row or more.
            shares: The share of each dataset in the steps; their sum is 1.
            seed: The seed of the order.
            step_size: The number of batches of a step.
        """
        self.samplers, self.shares, self.seed, self.step_size = samplers, shares, seed, step_size
        self.sizes = {name: len(sampler.epoch(0)) for name, sampler in samplers.items()}

    def epoch(self, number: int) -> list[PartBatch]:
        """Return the batches of an epoch in their order."""
        if len(self.samplers) == 1:
            return [(name, rows) for name, sampler in self.samplers.items() for rows in sampler.epoch(number)]
        steps: list[list[PartBatch]] = []
        for name in self.samplers:
            num_steps = max(1, round(sum(self.sizes.values()) * self.shares[name] / self.step_size))
            batches = self.successive(name, number * num_steps * self.step_size)
            steps += [[(name, next(batches)) for _ in range(self.step_size)] for _ in range(num_steps)]
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        return [batch for step in torch.randperm(len(steps), generator=generator).tolist() for batch in steps[step]]

    def successive(self, name: str, start: int) -> Iterator[list[int]]:
        """Yield the batches of a dataset, epoch after epoch of its own, from the batch with the number ``start``."""
        epoch = functools.lru_cache(maxsize=1)(self.samplers[name].epoch)
        while True:
            own, place = divmod(start, self.sizes[name])
            yield epoch(own)[place % len(epoch(own))]  # some epochs have a batch more or less
            start += 1
