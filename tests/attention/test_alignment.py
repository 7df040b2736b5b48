"""Attention that knows where it looked before, and what keeps it near the diagonal."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from attention import (
    LocationSensitive,
    MonotonicGaussian,
    ScoredAttention,
    build_score,
    diagonality,
    guided_attention_loss,
)
from encoders import Memory

QUERY, MEMORY, HIDDEN, WIDTH = 6, 4, 5, 3
LENGTHS = [5, 2, 3]


def build(kind: str) -> ScoredAttention:
    located = LocationSensitive(QUERY, MEMORY, HIDDEN, filters=2, width=WIDTH)
    if kind == "location":
        return ScoredAttention(located, MEMORY)
    locality = MonotonicGaussian(QUERY, HIDDEN, width=2)
    score = located if kind == "both" else build_score("general", QUERY, MEMORY, HIDDEN)
    return ScoredAttention(score, MEMORY, locality=locality)


def looks(attention: ScoredAttention, memory: Memory, queries: torch.Tensor) -> list:
    """One look after the other, each with what the one before left."""
    glances = []
    for query in queries.split(1, dim=1):
        past = glances[-1].past if glances else None
        glances.append(attention.attend(query, attention.start(memory), past))
    return glances


every_kind = pytest.mark.parametrize("kind", ["location", "monotonic", "both"])


@torch.no_grad()
def test_location_aware_energies_equal_the_plain_loop_over_the_formula(make_memory):
    attention, memory = build("location").double(), make_memory(LENGTHS, MEMORY, torch.float64)
    queries = torch.randn(3, 3, QUERY, dtype=torch.float64)
    glances = looks(attention, memory, queries)
    score = attention.score
    for row, length in enumerate(LENGTHS):
        last_position, total = [0.0] * length, [0.0] * length
        for step, glance in enumerate(glances):
            energies = []
            for place in range(length):
                around = [(place + offset - WIDTH // 2, offset) for offset in range(WIDTH)]
                located = [
                    sum(
                        kernel[0][one_hot] * last_position[near] + kernel[1][one_hot] * total[near]
                        for near, one_hot in around
                        if 0 <= near < length
                    )
                    for kernel in score.filters.weight.tolist()
                ]
                hidden = (
                    score.query.weight @ queries[row, step]
                    + score.key.weight @ memory.states[row, place]
                    + score.key.bias
                    + score.location.weight @ torch.tensor(located, dtype=torch.float64)
                )
                energies.append(float(score.vector.weight[0] @ torch.tanh(hidden)))
            exponentials = [math.exp(energy) for energy in energies]
            last_position = [each / sum(exponentials) for each in exponentials]
            total = [before + now for before, now in zip(total, last_position, strict=True)]
            assert_close(glance.weights[row, 0, :length].tolist(), last_position, rtol=1e-6, atol=1e-9)


def test_the_monotonic_window_is_a_gaussian_that_moves_on_from_the_last_look():
    locality = MonotonicGaussian(QUERY, HIDDEN, width=3).double()
    queries, mask = torch.randn(1, 1, QUERY, dtype=torch.float64), torch.ones(1, 9, dtype=torch.bool)
    stride = locality.stride(torch.tanh(locality.query(queries))).exp().item()
    last_position = torch.zeros(1, 1, 2, 9, dtype=torch.float64)
    last_position[..., 0, 2:4] = 0.5  # on average at 2.5
    for past, centre in ((None, -1 + stride), (last_position, 2.5 + stride)):
        expected = [-((place - centre) ** 2) / (2 * 1.5**2) for place in range(9)]
        assert_close(locality(queries, mask, past)[0, 0].tolist(), expected)


def test_the_window_never_leaves_the_sentence():
    locality = MonotonicGaussian(QUERY, HIDDEN, width=2)
    mask = torch.arange(8) < torch.tensor([[3], [8]])
    past = torch.zeros(2, 1, 2, 8)
    past[:, :, 0, 2] = 1.0
    with torch.no_grad():
        locality.stride.weight.fill_(9.0)
    centres = locality(torch.randn(2, 1, QUERY).abs() + 5, mask, past).argmax(dim=-1)
    assert centres[0, 0] == 2
    assert centres[1, 0] >= 2


@every_kind
def test_weights_sum_to_one_and_are_zero_on_padding(kind, make_memory):
    memory = make_memory(LENGTHS, MEMORY)
    for glance in looks(build(kind), memory, torch.randn(3, 4, QUERY)):
        assert_close(glance.weights.sum(dim=-1), torch.ones(3, 1))
        assert (glance.weights[~memory.mask[:, None]] == 0).all()


@every_kind
def test_a_sentence_alone_gets_the_same_answer_as_inside_a_padded_batch(kind, make_memory, alone):
    attention, memory, queries = build(kind), make_memory(LENGTHS, MEMORY), torch.randn(3, 4, QUERY)
    together = looks(attention, memory, queries)
    for row in range(3):
        for single, glance in zip(looks(attention, alone(memory, row), queries[row : row + 1]), together, strict=True):
            assert_close(single.context[0], glance.context[row])


@every_kind
def test_gradients_are_right_through_several_looks(kind, make_memory):
    attention, memory = build(kind).double(), make_memory([3, 2], MEMORY, torch.float64)
    queries = torch.randn(2, 3, QUERY, dtype=torch.float64, requires_grad=True)

    def run(queries, *parameters):
        return torch.cat([glance.context for glance in looks(attention, memory, queries)], dim=1)

    assert gradcheck(run, (queries, *attention.parameters()))


def test_guided_attention_equals_the_plain_loop_over_its_formula():
    targets = torch.arange(4) < torch.tensor([[4], [2]])
    sources = torch.arange(6) < torch.tensor([[5], [6]])
    weights = torch.rand(2, 4, 6).masked_fill(~sources[:, None], 0.0)
    expected = 0.0
    for row, (height, length) in enumerate(((4, 5), (2, 6))):
        for n in range(height):
            for t in range(length):
                expected += float(weights[row, n, t]) * (1 - math.exp(-((n / height - t / length) ** 2) / (2 * 0.3**2)))
    assert_close(float(guided_attention_loss(weights, targets, sources, 0.3)), expected)


def test_diagonality_is_one_on_a_diagonal_and_minus_one_against_it():
    diagonal = torch.eye(4).repeat_interleave(2, dim=1)[None] / 2
    everything = torch.ones(1, 4, dtype=torch.bool)
    assert_close(diagonality(diagonal, everything), torch.ones(1))
    assert_close(diagonality(diagonal.flip(1), everything), -torch.ones(1))
    assert_close(diagonality(torch.full((1, 4, 8), 1 / 8), everything), torch.zeros(1))


def test_diagonality_does_not_look_at_padding():
    diagonal = torch.eye(4)[None]
    spoiled = torch.cat([diagonal, torch.eye(4).flip(0)[None]], dim=1)
    assert_close(diagonality(spoiled, torch.arange(8)[None] < 4), diagonality(diagonal, torch.ones(1, 4).bool()))
