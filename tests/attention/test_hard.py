"""Hard attention: samples follow their probabilities, and both estimators have the gradients that they promise."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from attention.build import build_attention, build_reinforce_loss
from attention.config import AttentionConfig
from attention.hard import CategoricalSelector, GumbelSelector, ReinforceLoss
from attention.state import SampleInfo

QUERY, MEMORY = 6, 4
LENGTHS = [9, 2, 1, 5]


@pytest.mark.parametrize("selector", [CategoricalSelector(), GumbelSelector(0.5)], ids=["categorical", "gumbel"])
def test_samples_follow_the_probabilities_in_training_and_the_most_probable_wins_in_evaluation(selector):
    scores = torch.tensor([0.0, 1.0, float("-inf"), 2.0]).expand(2, 4000, 4)
    weights, _ = selector.train()(scores)
    assert ((weights > 1 - 1e-6).sum(dim=-1) == 1).all()
    assert_close(weights.sum(dim=-1), torch.ones(2, 4000))
    assert_close(weights.mean(dim=(0, 1)), scores[0, 0].softmax(dim=-1), rtol=0, atol=0.03)  # 5 standard deviations
    for chosen in selector.eval()(scores)[0][:, 0]:
        assert chosen.tolist() == [0, 0, 0, 1]


def test_a_sample_comes_with_its_log_probability_and_the_entropy_of_its_distribution():
    scores = torch.tensor([[[0.0, 1.0, float("-inf")], [3.0, float("-inf"), float("-inf")]]], requires_grad=True)
    weights, sample = CategoricalSelector().train()(scores)
    probs = scores.softmax(dim=-1)
    assert_close(sample.log_prob, (probs * weights).sum(dim=-1).log())
    entropy = [-sum(p * math.log(p) for p in row if p > 0) for row in probs[0].tolist()]
    assert_close(sample.entropy[0].tolist(), entropy, rtol=1e-5, atol=1e-6)
    (sample.entropy.sum() + sample.log_prob.sum()).backward()
    assert scores.grad.isfinite().all()


def test_gumbel_backpropagates_through_the_softmax_of_the_noisy_scores():
    scores = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    value = torch.randn(5, dtype=torch.float64)
    torch.manual_seed(3)
    weights, sample = GumbelSelector(0.7).train()(scores)
    assert sample is None
    (gradient,) = torch.autograd.grad((weights @ value).sum(), scores)
    torch.manual_seed(3)
    noise = -torch.empty_like(scores).exponential_().log()
    soft = ((scores + noise) / 0.7).softmax(dim=-1)
    (expected,) = torch.autograd.grad((soft @ value).sum(), scores)
    assert_close(gradient, expected)
    assert_close(weights.argmax(dim=-1), soft.argmax(dim=-1))


def test_each_head_samples_its_own_position_and_their_log_probabilities_are_added(make_memory):
    attention = build_attention(AttentionConfig(score="general", selection="hard", num_heads=2), QUERY, MEMORY).train()
    output = attention.attend_sequence(torch.randn(4, 3, QUERY), attention.prepare(make_memory(LENGTHS, MEMORY)))
    assert output.sample.log_prob.shape == (4, 3)
    assert (output.weights.sum(dim=-1) - 1).abs().max() < 1e-6
    assert set(output.weights.flatten().tolist()) <= {0.0, 0.5, 1.0}
    assert_close(output.sample.log_prob[2], torch.zeros(3))  # of a single position


@pytest.mark.parametrize("affects_future", [False, True])
@pytest.mark.parametrize("baseline", [0.0, -1.5])
def test_the_gradient_of_reinforce_is_on_average_that_of_the_expected_likelihood(affects_future, baseline):
    """On two tokens and three positions, with all nine pairs of samples enumerated."""
    scores = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    # [first sample, token, own sample]; the first sample changes the second token.
    token_log_probs = torch.randn(3, 2, 3, dtype=torch.float64)
    if not affects_future:
        token_log_probs = token_log_probs[:1].expand(3, 2, 3)

    def likelihood(first: int, second: int) -> Tensor:
        return torch.stack([token_log_probs[0, 0, first], token_log_probs[first, 1, second]])

    pairs = list(itertools.product(range(3), repeat=2))
    probs = scores.softmax(dim=-1)
    expected = sum(probs[0, first] * probs[1, second] * likelihood(first, second).sum() for first, second in pairs)
    (true,) = torch.autograd.grad(-expected, scores, retain_graph=True)
    mean = torch.zeros_like(true)
    for first, second in pairs:
        reinforce_loss = ReinforceLoss(entropy_weight=0).double()
        reinforce_loss.baseline.fill_(baseline)
        sample = SampleInfo(
            torch.stack([probs[0, first], probs[1, second]]).log()[None], torch.zeros(1, 2, dtype=torch.float64)
        )
        mask = torch.ones(1, 2, dtype=torch.bool)
        term = reinforce_loss(likelihood(first, second)[None], sample, mask, affects_future=affects_future)
        assert term.item() == 0
        (gradient,) = torch.autograd.grad(term, scores, retain_graph=True)
        mean += (probs[0, first] * probs[1, second]).detach() * gradient
    assert_close(mean, true)


def test_the_baseline_follows_the_log_likelihood_of_tokens_in_training_only_and_ignores_padding():
    reinforce_loss, mask = ReinforceLoss(entropy_weight=0.5), torch.tensor([[True, True, False]])
    token_log_probs = torch.tensor([[-2.0, -4.0, -100.0]])
    log_probs, entropies = torch.zeros(2, 1, 3, requires_grad=True).unbind(0)
    sample = SampleInfo(log_probs, entropies)
    reinforce_loss.eval()(token_log_probs, sample, mask, affects_future=True)
    assert reinforce_loss.baseline.item() == 0
    term = reinforce_loss.train()(token_log_probs, sample, mask, affects_future=True)
    assert_close(reinforce_loss.baseline.item(), -0.3)
    log_prob_gradient, entropy_gradient = torch.autograd.grad(term, (log_probs, entropies))
    assert log_prob_gradient.tolist() == [[6.0, 4.0, 0.0]]  # a sample is rewarded by its own and all later tokens
    assert entropy_gradient.tolist() == [[-0.5, -0.5, 0.0]]


def test_only_sampled_attention_needs_the_reinforce_loss():
    assert build_reinforce_loss(AttentionConfig()) is None
    assert build_reinforce_loss(AttentionConfig(selection="hard", estimator="gumbel")) is None
    loss = build_reinforce_loss(AttentionConfig(selection="hard", entropy_weight=0.3))
    assert loss is not None and loss.entropy_weight == 0.3
