"""The batches of several datasets in one epoch."""

from collections.abc import Mapping, Sequence

import torch

from tasks.common.data.batching import BatchSampler, RowBatches

PartBatch = tuple[str, list[int]]  # the name of a dataset, and the rows of a batch
BatchPlace = tuple[str, RowBatches, int]  # the name of a dataset, batches of it, and the number of one of them


class MixedBatches(Sequence[PartBatch]):
    """Batches of several datasets, each taken from its arrays when it is asked for."""

    def __init__(self, places: list[BatchPlace]):
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> PartBatch:  # pyright: ignore[reportIncompatibleMethodOverride]
        name, batches, number = self.places[index]
        return name, batches[number]


class BatchMixer:
    """Mix the batches of several datasets, in an order that depends on the seed, the epoch and the size of a step.

    An epoch has as many batches as all datasets together. Each dataset has its share of them, at least one step, and
    goes through its own batches from epoch to epoch: with a larger share than its size it begins again within an epoch,
    and with a smaller one it takes several. The batches of a step are all of the same dataset, and stand together in an
    epoch of its sampler, whose incomplete last step is left out: it has other batches in each. A single dataset has the
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
        self.sizes = {name: len(sampler.epoch(0)) for name, sampler in samplers.items()}  # in batches

    def epoch(self, number: int) -> MixedBatches:
        """Return the batches of an epoch in their order."""
        if len(self.samplers) == 1:
            ((name, sampler),) = self.samplers.items()
            batches = sampler.epoch(number)
            return MixedBatches([(name, batches, place) for place in range(len(batches))])
        steps: list[list[BatchPlace]] = []
        for name in self.samplers:
            num_steps = max(1, round(sum(self.sizes.values()) * self.shares[name] / self.step_size))
            steps += [self.step(name, number * num_steps + step) for step in range(num_steps)]
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        order = torch.randperm(len(steps), generator=generator).tolist()
        return MixedBatches([place for step in order for place in steps[step]])

    def step(self, name: str, number: int) -> list[BatchPlace]:
        """Return the batches of a step of a dataset, whose steps are counted through all epochs of its own."""
        own, place = divmod(number, max(1, self.sizes[name] // self.step_size))
        batches = self.samplers[name].epoch(own)
        first = place * self.step_size
        # Some epochs have a batch more or less, and a small dataset has fewer than a step.
        return [(name, batches, each % len(batches)) for each in range(first, first + self.step_size)]
