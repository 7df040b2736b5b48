"""Hard attention: draws follow their probabilities, and both ways to learn to draw have the gradients they promise."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from attention import CategoricalSelector, GumbelSelector, ReinforceLoss, SampleInfo
from tasks.common.config import AttentionConfig
from tasks.common.model import build_attention

QUERY, MEMORY = 6, 4
LENGTHS = [9, 2, 1, 5]


@pytest.mark.parametrize("draw", [CategoricalSelector(), GumbelSelector(0.5)], ids=["sampled", "gumbel"])
def test_draws_follow_the_probabilities_in_training_and_the_most_probable_wins_otherwise(selector):
    energies = torch.tensor([0.0, 1.0, float("-inf"), 2.0]).expand(2, 4000, 4)
    weights, _ = selector.train()(energies)
    assert ((weights > 1 - 1e-6).sum(dim=-1) == 1).all()
    assert_close(weights.sum(dim=-1), torch.ones(2, 4000))
    assert_close(weights.mean(dim=(0, 1)), energies[0, 0].softmax(dim=-1), rtol=0, atol=0.03)  # 5 deviations
    for chosen in selector.eval()(energies)[0][:, 0]:
        assert chosen.tolist() == [0, 0, 0, 1]


def test_a_draw_answers_for_its_probability_and_the_entropy_it_was_drawn_with():
    energies = torch.tensor([[[0.0, 1.0, float("-inf")], [3.0, float("-inf"), float("-inf")]]], requires_grad=True)
    weights, sample = CategoricalSelector().train()(energies)
    probabilities = energies.softmax(dim=-1)
    assert_close(sample.log_prob, (probabilities * weights).sum(dim=-1).log())
    entropy = [-sum(p * math.log(p) for p in row if p > 0) for row in probabilities[0].tolist()]
    assert_close(sample.entropy[0].tolist(), entropy, rtol=1e-5, atol=1e-6)
    (sample.entropy.sum() + sample.log_prob.sum()).backward()
    assert energies.grad.isfinite().all()


def test_gumbel_sends_the_gradient_of_its_softmax_through_the_draw():
    energies = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    worth = torch.randn(5, dtype=torch.float64)
    torch.manual_seed(3)
    weights, sample = GumbelSelector(0.7).train()(energies)
    assert sample is None
    (gradient,) = torch.autograd.grad((weights @ worth).sum(), energies)
    torch.manual_seed(3)
    noise = -torch.empty_like(energies).exponential_().log()
    soft = ((energies + noise) / 0.7).softmax(dim=-1)
    (expected,) = torch.autograd.grad((soft @ worth).sum(), energies)
    assert_close(gradient, expected)
    assert_close(weights.argmax(dim=-1), soft.argmax(dim=-1))


def test_many_heads_draw_for_themselves_and_answer_together(make_memory):
    attention = build_attention(AttentionConfig(score="general", selection="hard", num_heads=2), QUERY, MEMORY).train()
    glance = attention.attend(torch.randn(4, 3, QUERY), attention.start(make_memory(LENGTHS, MEMORY)))
    assert glance.sample.log_prob.shape == (4, 3)
    assert (glance.weights.sum(dim=-1) - 1).abs().max() < 1e-6
    assert set(glance.weights.flatten().tolist()) <= {0.0, 0.5, 1.0}
    assert_close(glance.sample.log_prob[2], torch.zeros(3))  # of a single position


@pytest.mark.parametrize("onward", [False, True])
@pytest.mark.parametrize("baseline", [0.0, -1.5])
def test_the_gradient_of_reinforce_is_on_average_that_of_the_expected_likelihood(affects_future, baseline):
    """On a toy of two words and three positions, all nine pairs of draws enumerated."""
    energies = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    token_log_probs = torch.randn(
        3, 2, 3, dtype=torch.float64
    )  # [first draw, word, own draw]; the first draw changes the second
    if not affects_future:
        token_log_probs = token_log_probs[:1].expand(3, 2, 3)

    def likelihood(first: int, second: int) -> Tensor:
        return torch.stack([token_log_probs[0, 0, first], token_log_probs[first, 1, second]])

    pairs = list(itertools.product(range(3), repeat=2))
    probabilities = energies.softmax(dim=-1)
    expected = sum(
        probabilities[0, first] * probabilities[1, second] * likelihood(first, second).sum() for first, second in pairs
    )
    (true,) = torch.autograd.grad(-expected, energies, retain_graph=True)
    mean = torch.zeros_like(true)
    for first, second in pairs:
        reinforce = ReinforceLoss(entropy=0).double()
        reinforce.baseline.fill_(baseline)
        sample = SampleInfo(
            torch.stack([probabilities[0, first], probabilities[1, second]]).log()[None],
            torch.zeros(1, 2, dtype=torch.float64),
        )
        term = reinforce(
            likelihood(first, second)[None], sample, torch.ones(1, 2, dtype=torch.bool), affects_future=affects_future
        )
        assert term.item() == 0
        (gradient,) = torch.autograd.grad(term, energies, retain_graph=True)
        mean += (probabilities[0, first] * probabilities[1, second]).detach() * gradient
    assert_close(mean, true)


def test_the_baseline_follows_the_words_likelihood_in_training_alone_and_padding_counts_for_nothing():
    reinforce, real = ReinforceLoss(entropy=0.5), torch.tensor([[True, True, False]])
    token_log_probs = torch.tensor([[-2.0, -4.0, -100.0]])
    logarithms, entropies = torch.zeros(2, 1, 3, requires_grad=True).unbind(0)
    sample = SampleInfo(logarithms, entropies)
    reinforce.eval()(token_log_probs, sample, real, affects_future=True)
    assert reinforce.baseline.item() == 0
    term = reinforce.train()(token_log_probs, sample, real, affects_future=True)
    assert_close(reinforce.baseline.item(), -0.3)
    of_log, of_entropy = torch.autograd.grad(term, (logarithms, entropies))
    assert of_log.tolist() == [[6.0, 4.0, 0.0]]  # each word's draw answers for the words from it on
    assert of_entropy.tolist() == [[-0.5, -0.5, 0.0]]
