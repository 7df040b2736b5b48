"""What is measured of a model beside its score."""

import math

import torch
from torch import nn
from torch.testing import assert_close

from attention import coverage, entropy
from tasks.common.analysis.measurements import activation_bytes
from tasks.common.config import Config


def test_entropy_is_in_bits_and_the_mean_over_real_words():
    weights = torch.tensor([[[0.25] * 4, [1.0, 0, 0, 0], [0.5, 0.5, 0, 0]]])
    assert_close(entropy(weights, torch.tensor([[True, True, True]])), torch.tensor([(2 + 0 + 1) / 3]))
    assert_close(entropy(weights, torch.tensor([[True, True, False]])), torch.tensor([1.0]))


def test_coverage_is_the_share_of_the_source_that_was_looked_at():
    weights = torch.tensor([[[1.0, 0, 0, 0], [0.8, 0.2, 0, 0], [0, 0, 1.0, 0]]])
    words, sources = torch.tensor([[True, True, False]]), torch.tensor([[True, True, True, False]])
    assert_close(coverage(weights, words, sources), torch.tensor([(1 + 0.2 + 0) / 3]))


class Plain(nn.Module):
    """Two linear maps and a tanh: the backward pass needs the input and the tanh's output."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(10, 20, bias=False), nn.Linear(20, 1, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(inputs))).sum()


class Rows:
    """Stands for a task: a batch of as many rows as it is asked for."""

    config = Config()

    def collate(self, examples: list[int], rows: list[int]) -> torch.Tensor:
        return torch.ones(len(rows), 10)


def test_activations_are_what_the_backward_pass_needs_and_no_weights():
    for count in (1, 7, 32, 100):
        expected = 4 * min(count, 32) * (10 + 20)
        assert activation_bytes.__wrapped__(Rows(), Plain(), range(count)) == expected
    assert math.isfinite(Plain()(torch.ones(2, 10)).item())
