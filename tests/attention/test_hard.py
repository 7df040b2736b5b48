"""Hard attention: draws follow their probabilities, and both ways to learn to draw have the gradients they promise."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from attention import Drawn, Gumbel, Reinforce, Sampled
from tasks.common.config import AttentionConfig
from tasks.common.model import build_attention

QUERY, MEMORY = 6, 4
LENGTHS = [9, 2, 1, 5]


@pytest.mark.parametrize("draw", [Sampled(), Gumbel(0.5)], ids=["sampled", "gumbel"])
def test_draws_follow_the_probabilities_in_training_and_the_most_probable_wins_otherwise(draw):
    energies = torch.tensor([0.0, 1.0, float("-inf"), 2.0]).expand(2, 4000, 4)
    weights, _ = draw.train()(energies)
    assert ((weights > 1 - 1e-6).sum(dim=-1) == 1).all()
    assert_close(weights.sum(dim=-1), torch.ones(2, 4000))
    assert_close(weights.mean(dim=(0, 1)), energies[0, 0].softmax(dim=-1), rtol=0, atol=0.03)  # 5 deviations
    for chosen in draw.eval()(energies)[0][:, 0]:
        assert chosen.tolist() == [0, 0, 0, 1]


def test_a_draw_answers_for_its_probability_and_the_entropy_it_was_drawn_with():
    energies = torch.tensor([[[0.0, 1.0, float("-inf")], [3.0, float("-inf"), float("-inf")]]], requires_grad=True)
    weights, drawn = Sampled().train()(energies)
    probabilities = energies.softmax(dim=-1)
    assert_close(drawn.log_probability, (probabilities * weights).sum(dim=-1).log())
    entropy = [-sum(p * math.log(p) for p in row if p > 0) for row in probabilities[0].tolist()]
    assert_close(drawn.entropy[0].tolist(), entropy, rtol=1e-5, atol=1e-6)
    (drawn.entropy.sum() + drawn.log_probability.sum()).backward()
    assert energies.grad.isfinite().all()


def test_gumbel_sends_the_gradient_of_its_softmax_through_the_draw():
    energies = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
    worth = torch.randn(5, dtype=torch.float64)
    torch.manual_seed(3)
    weights, drawn = Gumbel(0.7).train()(energies)
    assert drawn is None
    (gradient,) = torch.autograd.grad((weights @ worth).sum(), energies)
    torch.manual_seed(3)
    noise = -torch.empty_like(energies).exponential_().log()
    soft = ((energies + noise) / 0.7).softmax(dim=-1)
    (expected,) = torch.autograd.grad((soft @ worth).sum(), energies)
    assert_close(gradient, expected)
    assert_close(weights.argmax(dim=-1), soft.argmax(dim=-1))


def test_many_heads_draw_for_themselves_and_answer_together(make_memory):
    attention = build_attention(AttentionConfig(score="general", area="hard", heads=2), QUERY, MEMORY).train()
    glance = attention.attend(torch.randn(4, 3, QUERY), attention.start(make_memory(LENGTHS, MEMORY)))
    assert glance.drawn.log_probability.shape == (4, 3)
    assert (glance.weights.sum(dim=-1) - 1).abs().max() < 1e-6
    assert set(glance.weights.flatten().tolist()) <= {0.0, 0.5, 1.0}
    assert_close(glance.drawn.log_probability[2], torch.zeros(3))  # of a single position


@pytest.mark.parametrize("onward", [False, True])
@pytest.mark.parametrize("baseline", [0.0, -1.5])
def test_the_gradient_of_reinforce_is_on_average_that_of_the_expected_likelihood(onward, baseline):
    """On a toy of two words and three positions, all nine pairs of draws enumerated."""
    energies = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    gains = torch.randn(3, 2, 3, dtype=torch.float64)  # [first draw, word, own draw]; the first draw changes the second
    if not onward:
        gains = gains[:1].expand(3, 2, 3)

    def likelihood(first: int, second: int) -> Tensor:
        return torch.stack([gains[0, 0, first], gains[first, 1, second]])

    pairs = list(itertools.product(range(3), repeat=2))
    probabilities = energies.softmax(dim=-1)
    expected = sum(
        probabilities[0, first] * probabilities[1, second] * likelihood(first, second).sum() for first, second in pairs
    )
    (true,) = torch.autograd.grad(-expected, energies, retain_graph=True)
    mean = torch.zeros_like(true)
    for first, second in pairs:
        reinforce = Reinforce(entropy=0).double()
        reinforce.baseline.fill_(baseline)
        drawn = Drawn(
            torch.stack([probabilities[0, first], probabilities[1, second]]).log()[None],
            torch.zeros(1, 2, dtype=torch.float64),
        )
        term = reinforce(likelihood(first, second)[None], drawn, torch.ones(1, 2, dtype=torch.bool), onward=onward)
        assert term.item() == 0
        (gradient,) = torch.autograd.grad(term, energies, retain_graph=True)
        mean += (probabilities[0, first] * probabilities[1, second]).detach() * gradient
    assert_close(mean, true)


def test_the_baseline_follows_the_words_likelihood_in_training_alone_and_padding_counts_for_nothing():
    reinforce, real = Reinforce(entropy=0.5), torch.tensor([[True, True, False]])
    gains = torch.tensor([[-2.0, -4.0, -100.0]])
    logarithms, entropies = torch.zeros(2, 1, 3, requires_grad=True).unbind(0)
    drawn = Drawn(logarithms, entropies)
    reinforce.eval()(gains, drawn, real, onward=True)
    assert reinforce.baseline.item() == 0
    term = reinforce.train()(gains, drawn, real, onward=True)
    assert_close(reinforce.baseline.item(), -0.3)
    of_log, of_entropy = torch.autograd.grad(term, (logarithms, entropies))
    assert of_log.tolist() == [[6.0, 4.0, 0.0]]  # each word's draw answers for the words from it on
    assert of_entropy.tolist() == [[-0.5, -0.5, 0.0]]
