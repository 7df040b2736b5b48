"""Dropout keeps the share and the mean that it should, and its gradient is that of what it kept."""

import pytest
import torch

from attention.dropout import Dropout, dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_the_share_that_is_dropped_and_the_mean(p):
    torch.manual_seed(1)
    kept = dropout(torch.ones(1000, 401), p)
    assert (kept == 0).float().mean().item() == pytest.approx(p, abs=0.003)
    assert kept.mean().item() == pytest.approx(1.0, abs=0.01)
    assert kept.unique().numel() == 2


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0), (1e-9, 1.0)])
def test_all_or_nothing(p, expected):
    assert (dropout(torch.ones(50), p) == expected).all()


def test_values_are_dropped_independently():
    torch.manual_seed(1)
    kept = (dropout(torch.ones(500, 400), 0.5) != 0).float()
    for axis, length in ((0, 500), (1, 400)):
        deviation = kept.mean(dim=axis).std() / (0.25 / length) ** 0.5  # one for independent values
        assert deviation.item() == pytest.approx(1.0, abs=0.15)
    assert torch.corrcoef(torch.stack([kept.flatten()[:-1], kept.flatten()[1:]]))[0, 1].abs() < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_gradient_is_that_of_the_kept_values(dtype):
    values = torch.rand(7, 3, 5, dtype=dtype, requires_grad=True)
    kept = dropout(values, 0.4)
    kept.sum().backward()
    assert kept.dtype == dtype and torch.equal(values.grad != 0, kept != 0)
    torch.testing.assert_close(values.grad * values.detach(), kept.detach())


def test_the_module_drops_in_training_alone_and_depends_on_the_seed_alone():
    module, values = Dropout(0.5), torch.ones(100)
    assert module.eval()(values) is values
    module.train()
    first, second = (torch.manual_seed(3) and module(values) for _ in range(2))
    assert torch.equal(first, second) and not torch.equal(first, module(values))


def test_no_values():
    assert dropout(torch.ones(0, 4), 0.5).shape == (0, 4)
