"""Attention that depends on earlier weights, the losses and the measures of alignments."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from attention.alignment_metrics import diagonality
from attention.locality import MonotonicGaussian
from attention.losses import guided_attention_loss
from attention.score_functions import LocationSensitive, build_score
from attention.scored import ScoredAttention
from attention.state import AttentionState

QUERY, MEMORY, HIDDEN, KERNEL = 6, 4, 5, 3
LENGTHS = [5, 2, 3]


def build(kind: str) -> ScoredAttention:
    location = LocationSensitive(QUERY, MEMORY, HIDDEN, num_filters=2, kernel_size=KERNEL)
    if kind == "location":
        return ScoredAttention(location, MEMORY)
    locality = MonotonicGaussian(QUERY, HIDDEN, half_width=2)
    score = location if kind == "both" else build_score("general", QUERY, MEMORY, HIDDEN)
    return ScoredAttention(score, MEMORY, locality=locality)


every_kind = pytest.mark.parametrize("kind", ["location", "monotonic", "both"])


@torch.no_grad()
def test_location_sensitive_weights_equal_the_plain_loop_over_the_formula(make_memory, one_by_one):
    attention, memory = build("location").double(), make_memory(LENGTHS, MEMORY, torch.float64)
    queries = torch.randn(3, 3, QUERY, dtype=torch.float64)
    outputs = one_by_one(attention, memory, queries)
    score = attention.score
    for row, length in enumerate(LENGTHS):
        last, total = [0.0] * length, [0.0] * length
        for step, output in enumerate(outputs):
            scores = []
            for position in range(length):
                nearby = [(position + offset - KERNEL // 2, offset) for offset in range(KERNEL)]
                features = [
                    sum(
                        kernel[0][offset] * last[near] + kernel[1][offset] * total[near]
                        for near, offset in nearby
                        if 0 <= near < length
                    )
                    for kernel in score.filters.weight.tolist()
                ]
                hidden = (
                    score.query.weight @ queries[row, step]
                    + score.key.weight @ memory.states[row, position]
                    + score.key.bias
                    + score.location.weight @ torch.tensor(features, dtype=torch.float64)
                )
                scores.append(float(score.v.weight[0] @ torch.tanh(hidden)))
            exponentials = [math.exp(value) for value in scores]
            last = [each / sum(exponentials) for each in exponentials]
            total = [before + now for before, now in zip(total, last, strict=True)]
            assert_close(output.weights[row, 0, :length].tolist(), last, rtol=1e-6, atol=1e-9)


def test_the_monotonic_window_is_a_gaussian_that_moves_forward_from_the_last_weights():
    locality = MonotonicGaussian(QUERY, HIDDEN, half_width=3).double()
    queries, mask = torch.randn(1, 1, QUERY, dtype=torch.float64), torch.ones(1, 9, dtype=torch.bool)
    stride = locality.stride(torch.tanh(locality.query(queries))).exp().item()
    weights = torch.zeros(1, 1, 2, 9, dtype=torch.float64)
    first = AttentionState(torch.zeros(1, 1, dtype=torch.long), weights.clone())
    weights[..., 0, 2:4] = 0.5  # at 2.5 on average
    second = AttentionState(torch.ones(1, 1, dtype=torch.long), weights)
    for state, center in ((first, -1 + stride), (second, 2.5 + stride)):
        expected = [-((position - center) ** 2) / (2 * 1.5**2) for position in range(9)]
        assert_close(locality(queries, mask, state)[0, 0].tolist(), expected)


def test_the_window_never_leaves_the_sentence():
    locality = MonotonicGaussian(QUERY, HIDDEN, half_width=2)
    mask = torch.arange(8) < torch.tensor([[3], [8]])
    weights = torch.zeros(2, 1, 2, 8)
    weights[:, :, 0, 2] = 1.0
    with torch.no_grad():
        locality.stride.weight.fill_(9.0)
    state = AttentionState(torch.ones(2, 1, dtype=torch.long), weights)
    centers = locality(torch.randn(2, 1, QUERY).abs() + 5, mask, state).argmax(dim=-1)
    assert centers[0, 0] == 2
    assert centers[1, 0] >= 2


@every_kind
def test_weights_sum_to_one_and_are_zero_on_padding(kind, make_memory, one_by_one):
    memory = make_memory(LENGTHS, MEMORY)
    for output in one_by_one(build(kind), memory, torch.randn(3, 4, QUERY)):
        assert_close(output.weights.sum(dim=-1), torch.ones(3, 1))
        assert (output.weights[~memory.mask[:, None]] == 0).all()


@every_kind
def test_a_sentence_alone_gets_the_same_result_as_in_a_padded_batch(kind, make_memory, alone, one_by_one):
    attention, memory, queries = build(kind), make_memory(LENGTHS, MEMORY), torch.randn(3, 4, QUERY)
    together = one_by_one(attention, memory, queries)
    for row in range(3):
        singles = one_by_one(attention, alone(memory, row), queries[row : row + 1])
        for single, output in zip(singles, together, strict=True):
            assert_close(single.context[0], output.context[row])


@every_kind
def test_gradients_are_right_through_several_steps(kind, make_memory, one_by_one):
    attention, memory = build(kind).double(), make_memory([3, 2], MEMORY, torch.float64)
    queries = torch.randn(2, 3, QUERY, dtype=torch.float64, requires_grad=True)

    def run(queries, *parameters):
        return torch.cat([output.context for output in one_by_one(attention, memory, queries)], dim=1)

    assert gradcheck(run, (queries, *attention.parameters()))


def test_guided_attention_equals_the_plain_loop_over_its_formula():
    target_mask = torch.arange(4) < torch.tensor([[4], [2]])
    source_mask = torch.arange(6) < torch.tensor([[5], [6]])
    weights = torch.rand(2, 4, 6).masked_fill(~source_mask[:, None], 0.0)
    expected = 0.0
    for row, (num_targets, num_sources) in enumerate(((4, 5), (2, 6))):
        for n in range(num_targets):
            for t in range(num_sources):
                distance = n / num_targets - t / num_sources
                expected += float(weights[row, n, t]) * (1 - math.exp(-(distance**2) / (2 * 0.3**2)))
    assert_close(float(guided_attention_loss(weights, target_mask, source_mask, 0.3)), expected)


def test_diagonality_is_one_on_a_diagonal_and_minus_one_against_it():
    diagonal = torch.eye(4).repeat_interleave(2, dim=1)[None] / 2
    everything = torch.ones(1, 4, dtype=torch.bool)
    assert_close(diagonality(diagonal, everything), torch.ones(1))
    assert_close(diagonality(diagonal.flip(1), everything), -torch.ones(1))
    assert_close(diagonality(torch.full((1, 4, 8), 1 / 8), everything), torch.zeros(1))


def test_diagonality_ignores_padding():
    diagonal = torch.eye(4)[None]
    spoiled = torch.cat([diagonal, torch.eye(4).flip(0)[None]], dim=1)
    assert_close(diagonality(spoiled, torch.arange(8)[None] < 4), diagonality(diagonal, torch.ones(1, 4).bool()))
