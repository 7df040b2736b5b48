"""Measurements of alignments and of the memory of training."""

import inspect
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attention.alignment_metrics import coverage, entropy
from tasks.common.analysis.measurements import SAMPLE_SIZE, activation_bytes, measure_alignments
from tasks.common.config import Config
from tasks.common.model import Alignment


def test_entropy_is_in_bits_and_the_mean_over_real_words():
    weights = torch.tensor([[[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]]])
    assert_close(entropy(weights, torch.tensor([[True, True, True]])), torch.tensor([(2 + 0 + 1) / 3]))
    assert_close(entropy(weights, torch.tensor([[True, True, False]])), torch.tensor([1.0]))


def test_coverage_is_the_attended_share_of_the_source():
    weights = torch.tensor([[[1.0, 0, 0, 0], [0.8, 0.2, 0, 0], [0, 0, 1.0, 0]]])
    words, sources = torch.tensor([[True, True, False]]), torch.tensor([[True, True, True, False]])
    assert_close(coverage(weights, words, sources), torch.tensor([(1 + 0.2 + 0) / 3]))


class TwoLayers(nn.Module):
    """Two linear maps and a tanh: the backward pass needs the input and the output of the tanh."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(10, 20, bias=False), nn.Linear(20, 1, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(inputs))).sum()


class RowsTask:
    """A task whose batches have as many rows as requested."""

    config = Config()

    def collate(self, examples: list[int], rows: list[int]) -> torch.Tensor:
        return torch.ones(len(rows), 10)


def test_activations_are_what_the_backward_pass_needs_without_the_parameters():
    for count in (1, 7, 32, 100):
        expected = 4 * min(count, SAMPLE_SIZE) * (10 + 20)
        assert activation_bytes.__wrapped__(RowsTask(), TwoLayers(), range(count)) == expected
    assert math.isfinite(TwoLayers()(torch.ones(2, 10)).item())


class AlignedBatch:
    """A batch of so many sentences."""

    def __init__(self, num_rows: int):
        self.num_rows = num_rows

    def to(self, device: torch.device) -> "AlignedBatch":
        return self


class AlignedTask(RowsTask):
    """A task with three sentences of two tokens each."""

    def example_lengths(self, examples: list[int]) -> list[tuple[int, int]]:
        return [(2, 2)] * len(examples)

    def num_targets(self, examples: list[int]) -> list[int]:
        return [1] * len(examples)

    def collate(self, examples: list[int], rows: list[int]) -> AlignedBatch:
        return AlignedBatch(len(rows))


class AlignedModel:
    """A model whose alignments are diagonal, or that has none."""

    def __init__(self, has_alignment: bool):
        self.has_alignment = has_alignment

    def align(self, batch: AlignedBatch) -> Alignment | None:
        mask = torch.ones(batch.num_rows, 2, dtype=torch.bool)
        return Alignment(torch.eye(2).expand(batch.num_rows, 2, 2), mask, mask) if self.has_alignment else None


@pytest.mark.parametrize(
    ("has_alignment", "expected"), [(True, {"entropy": 0.0, "coverage": 1.0, "diagonality": 1.0}), (False, {})]
)
def test_alignments_are_measured_over_all_sentences_of_a_model_with_attention(has_alignment, expected):
    predictor = SimpleNamespace(task=AlignedTask(), models=[AlignedModel(has_alignment)], device=torch.device("cpu"))
    measured = inspect.unwrap(measure_alignments)(predictor, [0, 1, 2])
    assert measured == pytest.approx(expected)
