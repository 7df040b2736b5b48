"""The cross-entropy in the memory of the logits is PyTorch's, with its gradient."""

import pytest
import torch
from torch.testing import assert_close

import decoders.cross_entropy
from decoders.cross_entropy import token_log_probs


def expected_log_probs(logits, targets, smoothing):
    log_probs = logits.log_softmax(dim=-1)
    plain = log_probs.gather(1, targets[:, None]).squeeze(1)
    return plain, (1 - smoothing) * plain + smoothing * log_probs.mean(dim=-1)


@pytest.mark.parametrize("chunk_size", [1, 30, 2**18])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_values_and_gradients(smoothing, chunk_size, monkeypatch):
    monkeypatch.setattr(decoders.cross_entropy, "CPU_CHUNK_SIZE", chunk_size)
    torch.manual_seed(1)
    features, weight = torch.randn(10, 4, requires_grad=True), torch.randn(13, 4, requires_grad=True)
    targets, rewards = torch.randint(13, (10,)), torch.randn(10)  # each token may have a weight of its own
    found = token_log_probs(features @ weight.T, targets, smoothing)
    expected = expected_log_probs(features @ weight.T, targets, smoothing)
    assert_close(found, expected)
    gradients = (torch.autograd.grad((rewards * each[1]).sum(), [features, weight]) for each in (found, expected))
    assert_close(*gradients)
    assert not found[0].requires_grad


def test_tokens_of_probability_zero_have_no_gradient():
    logits = torch.tensor([[0.0, float("-inf"), 1.0]], requires_grad=True)
    _, log_probs = token_log_probs(logits * 1.0, torch.tensor([2]))
    log_probs.sum().backward()
    assert_close(logits.grad[0, [0, 2]], torch.tensor([-0.26894, 0.26894]), atol=1e-5, rtol=0)


def test_no_tokens():
    logits = torch.zeros(0, 5, requires_grad=True)
    _, log_probs = token_log_probs(logits * 1.0, torch.zeros(0, dtype=torch.long), 0.1)
    log_probs.sum().backward()
    assert log_probs.shape == (0,) and logits.grad.shape == (0, 5)


def test_a_second_backward_pass_is_an_error_rather_than_a_wrong_gradient():
    logits = torch.randn(2, 5, requires_grad=True)
    _, log_probs = token_log_probs(logits * 1.0, torch.tensor([1, 2]))
    log_probs.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second time"):
        log_probs.sum().backward()
