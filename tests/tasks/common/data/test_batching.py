"""Batches: full, with little padding, and in an order that can be repeated."""

from collections.abc import Sequence

import pytest
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import _utils

from encoders.base import SourceBatch
from tasks.common.data.batching import Batch, BatchDataset, BatchPlan, BatchSampler
from tasks.common.data.config import BatchConfig

SIZES = BatchConfig(max_target_size=600, max_source_size=600, max_sources=32)


def skewed(count: int = 3000) -> list[tuple[int, int]]:
    """Make lengths like those of corpora: many short sentences, a few long ones, and similar ones on both sides."""
    source = torch.randn(count).mul(0.7).add(2.5).exp().long() + 1
    target = (source * (0.8 + 0.4 * torch.rand(count))).long() + 1
    return list(zip(source.tolist(), target.tolist(), strict=True))


def padding(batches: Sequence[list[int]], lengths: list[tuple[int, int]]) -> float:
    """Compute the share of padding on both sides."""
    sides = [[lengths[row][side] for row in batch] for batch in batches for side in (0, 1)]
    return 1 - sum(map(sum, sides)) / sum(len(side) * max(side) for side in sides)


@pytest.mark.parametrize("pool", [BatchSampler.BATCHES_PER_POOL, 3], ids="pools of {} batches".format)
def test_an_epoch_has_every_row_exactly_once_within_the_sizes(pool, monkeypatch):
    monkeypatch.setattr(BatchSampler, "BATCHES_PER_POOL", pool)
    lengths = skewed()
    for batches in (BatchSampler(lengths, SIZES, seed=1).epoch(0), BatchSampler(lengths, SIZES, seed=1).by_length()):
        assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
        assert max(map(len, batches)) == SIZES.max_sources
        assert all(len(batch) * max(max(lengths[row]) for row in batch) <= SIZES.max_target_size for batch in batches)


def test_a_row_that_is_larger_than_a_batch_is_a_batch_alone():
    batches = BatchSampler([(5, 5), (900, 3), (5, 5)], SIZES, seed=1).epoch(0)
    assert sorted(map(sorted, batches)) == [[0, 2], [1]]


def test_the_order_depends_on_seed_and_epoch_alone():
    lengths = skewed(500)
    first = [*BatchSampler(lengths, SIZES, seed=1).epoch(3)]
    torch.manual_seed(99)
    assert [*BatchSampler(lengths, SIZES, seed=1).epoch(3)] == first
    assert [*BatchSampler(lengths, SIZES, seed=1).epoch(4)] != first
    assert [*BatchSampler(lengths, SIZES, seed=2).epoch(3)] != first


def test_the_batches_of_a_small_corpus_differ_from_epoch_to_epoch():
    """Sound: hardly two rows have the same length, and all of them are in one pool."""
    lengths = [(200 + row, 20) for row in range(800)]
    sampler = BatchSampler(lengths, BatchConfig(max_sources=8, max_source_length=1000, max_source_size=20_000), seed=1)
    epochs = [{frozenset(batch) for batch in sampler.epoch(number)} for number in range(8)]
    recurring = [len(epochs[0] & later) / len(epochs[0]) for later in epochs[1:]]
    assert max(recurring) < 0.15, recurring
    assert padding(sampler.epoch(0), lengths) < padding(sampler.by_length(), lengths) + 0.03


class Drawing:
    """Collates a batch with random values."""

    def collate(self, examples: Dataset, rows: list[int], training: bool = False) -> Batch:
        values, mask = torch.rand(len(rows), 3), torch.ones(len(rows), 3, dtype=torch.bool)
        return Batch(SourceBatch(values, mask), torch.zeros(len(rows), 2, dtype=torch.long), rows)


def test_augmentation_differs_between_seeds_epochs_and_positions_and_can_be_repeated():
    batches = [("", rows) for rows in ([5, 6], [5, 6], [7])]

    def draws(seed: int, epoch: int, positions: range) -> list[list[float]]:
        dataset, plan = BatchDataset({"": Drawing()}, {"": Dataset.from_dict({})}, seed=seed), BatchPlan()
        plan.change(epoch, batches, positions)
        return [dataset[planned].source.values[0].tolist() for planned in plan]

    every = range(len(batches))
    first = draws(1, 0, every)
    assert draws(1, 0, every) == first
    assert draws(1, 0, every[1:]) == first[1:]  # after a resume, or as the share of another process
    others = first + draws(1, 1, every) + draws(2, 0, every)
    assert len({tuple(numbers) for numbers in others}) == 9


def test_rows_of_similar_lengths_share_a_batch():
    lengths = skewed()
    batches = BatchSampler(lengths, SIZES, seed=1)
    assert padding([rows.tolist() for rows in torch.randperm(len(lengths)).split(32)], lengths) > 0.5
    assert padding(batches.epoch(0), lengths) < 0.1
    assert padding(batches.by_length(), lengths) < 0.1


def test_rows_that_are_too_long_are_skipped_and_counted():
    limits = BatchConfig(max_source_length=9, max_target_length=4)
    lengths = [(3, 3), (9, 4), (3, 5), (4, 4), (10, 4)]
    batches = BatchSampler(lengths, limits, seed=1, drop_too_long=True)
    assert sorted(row for batch in batches.epoch(0) for row in batch) == [0, 1, 3]
    assert batches.num_skipped == 2
    assert BatchSampler(lengths, limits, seed=1).num_skipped == 0


def test_sources_and_targets_have_a_maximum_size_each():
    lengths = [(100, 2)] * 10 + [(2, 20)] * 10
    batches = BatchSampler(lengths, BatchConfig(max_target_size=100, max_source_size=300), seed=1).by_length()
    assert sorted(map(len, batches)) == [1, 3, 3, 3, 5, 5]


def test_all_targets_of_a_source_count():
    lengths, sizes = [(1, 5)] * 8, BatchConfig(max_target_size=60)
    several = BatchSampler(lengths, sizes, seed=1, num_targets=[3] * 8)
    assert list(map(len, several.by_length())) == [4, 4]
    assert list(map(len, BatchSampler(lengths, sizes, seed=1).by_length())) == [8]
    mixed = BatchSampler(lengths, sizes, seed=1, num_targets=[1, 1, 9, 2, 20, 1, 1, 1])
    assert [*mixed.by_length()] == [[0, 1, 2], [3], [4], [5, 6, 7]]


def test_no_rows_make_no_batches():
    assert [*BatchSampler([], SIZES, seed=1).by_length()] == []


@pytest.mark.parametrize(
    "name", ["max_target_size", "max_source_size", "max_sources", "max_target_length", "max_source_length"]
)
def test_sizes_of_zero_are_refused(name):
    with pytest.raises(ValueError, match=rf"^batch\.{name} is 0; allowed is 1 or more$"):
        BatchConfig(**{name: 0})


def test_a_negative_number_of_targets_is_refused():
    with pytest.raises(ValueError, match=r"^batch\.targets_per_source is -1; allowed is 0 or more$"):
        BatchConfig(targets_per_source=-1)


def test_a_batch_is_pinned_as_a_whole_and_moved_with_its_numbers(monkeypatch: pytest.MonkeyPatch):
    pinned: list[Tensor] = []

    def pin(tensor: Tensor) -> Tensor:
        pinned.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(Tensor, "pin_memory", pin)  # there may be no GPU
    mask = torch.tensor([[True, True], [True, False]])
    source = SourceBatch(
        torch.rand(2, 2), mask, others=(SourceBatch(torch.rand(2, 1), mask[:, :1]),), token_ids=mask.long()
    )
    batch = Batch(source, torch.tensor([[2, 5, 3], [2, 3, 0], [2, 7, 3]]), [4, 9], torch.tensor([0, 1, 1]))
    moved = _utils.pin_memory.pin_memory(batch).to(torch.device("cpu"))  # as a DataLoader calls it
    assert len(pinned) == 7
    assert moved.num_tokens == moved.num_target_tokens == batch.num_target_tokens == 5
    assert moved.source.lengths == (2, 1) and moved.source.others[0].lengths == (1, 1)
    assert moved.rows == [4, 9] and torch.equal(moved.tokens, batch.tokens)


@pytest.mark.parametrize("step_size", [2, 4])
def test_the_batches_of_a_step_are_of_similar_lengths_and_none_is_lost(step_size):
    lengths = skewed()
    alone = BatchSampler(lengths, SIZES, seed=1)
    sampler = BatchSampler(lengths, SIZES, seed=1, step_size=step_size)

    def spread(batches: Sequence[list[int]]) -> float:
        longest = [max(lengths[row][0] for row in batch) for batch in batches]
        full = len(longest) // step_size * step_size
        steps = torch.tensor(longest[:full]).view(-1, step_size)
        return float((steps.max(dim=1).values - steps.min(dim=1).values).float().mean())

    for epoch in range(2):
        assert sorted(map(sorted, sampler.epoch(epoch))) == sorted(map(sorted, alone.epoch(epoch)))
        assert spread(sampler.epoch(epoch)) < 0.2 * spread(alone.epoch(epoch))
    longest = [[max(lengths[row][0] for row in batch) for batch in sampler.epoch(epoch)] for epoch in range(2)]
    assert sorted(longest[0]) != longest[0] != longest[1]  # steps are shuffled, in another way in each epoch


def test_a_dataset_of_fewer_batches_than_a_step_is_an_incomplete_step():
    batches = BatchSampler([(5, 5)] * 40, SIZES, seed=1, step_size=4).epoch(0)
    assert sorted(row for batch in batches for row in batch) == list(range(40))
