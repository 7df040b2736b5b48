"""The weighted sum of tanh units in the memory of their inputs is the sum itself, with its gradient."""

import pytest
import torch
from torch.testing import assert_close

import attention.weighted_tanh
from attention.weighted_tanh import weigh_tanh


@pytest.mark.parametrize(
    "dtype, chunk_size",
    [(torch.float32, 1), (torch.float32, 100), (torch.float32, 2**18), (torch.float64, 2**18)],
    ids=str,
)
def test_values_and_gradients(dtype, chunk_size, monkeypatch):
    monkeypatch.setattr(attention.weighted_tanh, "CHUNK_SIZE", chunk_size)
    torch.manual_seed(1)
    queries, keys = (torch.randn(5, *shape, dtype=dtype, requires_grad=True) for shape in ((3, 1, 6), (1, 4, 6)))
    weight = torch.randn(1, 6, dtype=dtype, requires_grad=True)
    sums = weigh_tanh(queries + keys, weight)
    expected = (torch.tanh(queries + keys) * weight).sum(dim=-1)
    assert_close(sums, expected)
    factors = torch.randn(5, 3, 4, dtype=dtype)
    gradients = (torch.autograd.grad((factors * each).sum(), [queries, keys, weight]) for each in (sums, expected))
    assert_close(*gradients)


def test_units_that_are_not_contiguous():
    torch.manual_seed(1)
    keys, weight = torch.randn(4, 6, 5, requires_grad=True), torch.randn(1, 6)
    weigh_tanh((keys + 1).mT, weight).sum().backward()
    (expected,) = torch.autograd.grad((torch.tanh(keys + 1).mT * weight).sum(), keys)
    assert_close(keys.grad, expected)


def test_the_memory_of_the_units_becomes_that_of_their_gradient():
    inputs = torch.randn(4, 3, requires_grad=True)
    units, gradients = inputs * 1.0, []
    units.register_hook(gradients.append)
    address = units.data_ptr()
    weigh_tanh(units, torch.randn(1, 3)).sum().backward()
    assert gradients[0].data_ptr() == address


def test_without_gradients_the_memory_of_the_units_is_used_as_well():
    units, weight = torch.tensor([[0.0, 0.5, -200.0]]), torch.ones(1, 3, requires_grad=True)
    with torch.no_grad():
        sums = weigh_tanh(units, weight)
    assert_close(sums, torch.tensor([0.46211716 - 1.0]))
    assert_close(units, torch.tensor([[0.5, 0.73105858, 0.0]]))


def test_units_of_full_precision_in_mixed_precision():
    torch.manual_seed(1)
    units, weight = torch.randn(4, 6, requires_grad=True), torch.randn(1, 6)
    with torch.autocast("cpu", torch.bfloat16):
        sums = weigh_tanh(units * 1.0, weight)
    sums.sum().backward()
    expected = (torch.tanh(units) * weight).sum(dim=-1)
    assert_close(sums.float(), expected, rtol=0, atol=0.05)
    assert_close(units.grad, torch.autograd.grad(expected.sum(), units)[0], rtol=0, atol=0.05)


def test_a_second_backward_pass_is_an_error_rather_than_a_wrong_gradient():
    units = torch.randn(2, 3, requires_grad=True)
    sums = weigh_tanh(units * 1.0, torch.randn(1, 3)).sum()
    sums.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second time"):
        sums.backward()
