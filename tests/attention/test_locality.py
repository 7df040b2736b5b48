"""Localities and segments against their formulas, and all combinations of independent choices."""

import itertools
import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from attention.base import Attention
from attention.build import build_attention
from attention.config import AttentionConfig, LocalityName, ScoreName
from attention.hierarchical import HierarchicalSoftmax
from attention.locality import LocalM, LocalP, build_locality
from attention.score_functions import LocationSensitive, build_score
from attention.scored import ScoredAttention
from attention.state import AttentionState

QUERY, MEMORY = 6, 4
LENGTHS = [9, 2, 1, 5]
LOCALITIES = ("global", *get_args(LocalityName))
SELECTIONS, HIERARCHIES = ("soft", "hard"), ("flat", "hierarchical")

# Lists, since an iterator would be empty after the first test.
CHOICES = ("score", "locality", "selection", "hierarchy", "num_heads")
COMBINATIONS = list(itertools.product(get_args(ScoreName), LOCALITIES, SELECTIONS, HIERARCHIES, (1, 2)))
# Gradients by finite differences take seconds each, and hard attention has none of its weights in evaluation.
DIFFERENTIATED = [
    choices
    for choices in COMBINATIONS
    if choices[0] in ("general", "additive", "location") and (choices[2] == "soft" or choices[1] == "global")
]

every_combination = pytest.mark.parametrize(CHOICES, COMBINATIONS)


def build(score: str, locality: str, selection: str = "soft", hierarchy: str = "flat", num_heads: int = 1) -> Attention:
    config = AttentionConfig(
        score=score,
        locality=locality,
        selection=selection,
        hierarchy=hierarchy,
        num_heads=num_heads,
        hidden_dim=10,
        window_size=2.0,
        segment_size=3,
    )
    return build_attention(config, QUERY, MEMORY).eval()


def softmax(scores: list[float]) -> list[float]:
    exponentials = [math.exp(score) for score in scores]
    return [each / sum(exponentials) for each in exponentials]


# ── All combinations ────────────────────────────────────────────────────────────────────────────────────────


@every_combination
def test_weights_sum_to_one_over_real_positions_and_are_zero_on_padding(
    score, locality, selection, hierarchy, num_heads, make_memory, one_by_one
):
    memory = make_memory(LENGTHS, MEMORY)
    attention = build(score, locality, selection, hierarchy, num_heads)
    for output in one_by_one(attention, memory, torch.randn(4, 3, QUERY)):
        assert_close(output.weights.sum(dim=-1), torch.ones(4, 1))
        assert (output.weights[~memory.mask[:, None]] == 0).all()
        assert output.context.isfinite().all()


@every_combination
def test_a_sentence_alone_gets_the_same_result_as_in_a_padded_batch(
    score, locality, selection, hierarchy, num_heads, make_memory, alone, one_by_one
):
    attention, memory = build(score, locality, selection, hierarchy, num_heads), make_memory(LENGTHS, MEMORY)
    queries = torch.randn(4, 3, QUERY)
    together = one_by_one(attention, memory, queries)
    for row, length in enumerate(LENGTHS):
        for single, output in zip(one_by_one(attention, alone(memory, row), queries[[row]]), together, strict=True):
            assert_close(single.context[0], output.context[row])
            assert_close(single.weights[0], output.weights[row, :, :length])


@every_combination
def test_all_positions_at_once_equal_one_after_the_other(
    score, locality, selection, hierarchy, num_heads, make_memory, one_by_one
):
    attention, memory = build(score, locality, selection, hierarchy, num_heads), make_memory(LENGTHS, MEMORY)
    queries = torch.randn(4, 4, QUERY)
    at_once = attention.attend_sequence(queries, attention.prepare(memory))
    outputs = one_by_one(attention, memory, queries)
    assert_close(at_once.context, torch.cat([output.context for output in outputs], dim=1))
    assert_close(at_once.weights, torch.cat([output.weights for output in outputs], dim=1))
    assert_close(vars(at_once.state), vars(outputs[-1].state))


@pytest.mark.parametrize(CHOICES, DIFFERENTIATED)
def test_gradients_are_right(score, locality, selection, hierarchy, num_heads, make_memory):
    attention = build(score, locality, selection, hierarchy, num_heads).double()
    memory = make_memory([4, 2], MEMORY, torch.float64)
    queries = torch.randn(2, 2, QUERY, dtype=torch.float64, requires_grad=True)
    states = memory.states.requires_grad_()

    def run(queries, states, *parameters):
        output = attention.attend_sequence(queries, attention.prepare(replace(memory, states=states)))
        return output.context, output.weights

    assert gradcheck(run, (queries, states, *attention.parameters()), fast_mode=True)


@pytest.mark.parametrize("hierarchy", HIERARCHIES)
@pytest.mark.parametrize("num_heads", [1, 2])
def test_selected_keys_are_the_keys_of_the_selected_sentences(hierarchy, num_heads, make_memory):
    attention = build("general", "global", "soft", hierarchy, num_heads)
    memory, rows = make_memory([5, 9, 1, 9], MEMORY), torch.tensor([3, 1])
    queries = torch.randn(2, 3, QUERY)
    selected = attention.attend_sequence(queries, attention.prepare(memory).select(rows))
    expected = attention.attend_sequence(queries, attention.prepare(memory.select(rows)))
    assert_close(selected.context, expected.context)


# ── Local ───────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def test_local_m_attends_no_farther_than_its_half_width_from_the_target_position(make_memory):
    attention = ScoredAttention(build_score("general", QUERY, MEMORY, 5), MEMORY, locality=LocalM(2)).double()
    memory, queries = make_memory([9, 3], MEMORY, torch.float64), torch.randn(2, 7, QUERY, dtype=torch.float64)
    keys = attention.prepare(memory)
    scores = attention.score(queries, keys.keys, AttentionState())
    found = attention.attend_sequence(queries, keys).weights
    for row, length in enumerate((9, 3)):
        for t in range(7):
            center = min(t, length - 1)  # a target that is longer than its source stays at the end
            inside = [s for s in range(length) if abs(s - center) <= 2]
            weights = softmax([scores[row, t, s].item() for s in inside])
            expected = [weights[inside.index(s)] if s in inside else 0.0 for s in range(9)]
            assert_close(found[row, t].tolist(), expected, rtol=1e-6, atol=1e-12)


@torch.no_grad()
def test_local_p_weighs_by_a_gaussian_around_the_predicted_position(make_memory):
    locality = LocalP(QUERY, 5, half_width=3)
    attention = ScoredAttention(build_score("general", QUERY, MEMORY, 5), MEMORY, locality=locality).double()
    memory, queries = make_memory([9, 4], MEMORY, torch.float64), torch.randn(2, 4, QUERY, dtype=torch.float64)
    keys = attention.prepare(memory)
    scores = attention.score(queries, keys.keys, AttentionState())
    found = attention.attend_sequence(queries, keys).weights
    for row, length in enumerate((9, 4)):
        for t in range(4):
            hidden = torch.tanh(locality.query.weight @ queries[row, t])
            center = (length - 1) / (1 + math.exp(-float(locality.position.weight[0] @ hidden)))
            unnormalized = [
                math.exp(scores[row, t, s].item()) * math.exp(-((s - center) ** 2) / (2 * 1.5**2))
                if s < length and abs(s - center) <= 3
                else 0.0
                for s in range(9)
            ]
            expected = [each / sum(unnormalized) for each in unnormalized]
            assert_close(found[row, t].tolist(), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("half_width", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("locality", ["local_m", "local_p"])
def test_one_position_remains_however_narrow_a_window_is(locality, half_width, make_memory):
    config = AttentionConfig(score="dot", locality=locality, window_size=half_width)
    attention = build_attention(config, QUERY, MEMORY)
    keys = attention.prepare(make_memory(LENGTHS, MEMORY))
    weights = attention.attend_sequence(torch.randn(4, 12, QUERY), keys).weights
    assert_close(weights.sum(dim=-1), torch.ones(4, 12))


@pytest.mark.parametrize("name", get_args(LocalityName))
def test_half_precision_counts_as_far_as_single_precision_does(name):
    torch.manual_seed(2)
    locality = build_locality(name, QUERY, 5, 3.0)
    queries, mask = torch.randn(1, 2, QUERY), torch.ones(1, 700, dtype=torch.bool)
    weights = torch.zeros(1, 2, 2, 700)
    weights[0, 0, 0, 601] = weights[0, 1, 0, 333] = 1.0
    weights[0, 0, 1, :601] = weights[0, 1, 1, :333] = 1.0
    state = AttentionState(torch.tensor([[601, 333]]), weights)
    with torch.no_grad():
        if name == "local_p":
            locality.position.weight.zero_()  # in the middle, at 349.5
        expected = locality(queries, mask, state)
        with torch.autocast("cpu", torch.bfloat16):
            found = locality(queries, mask, state)
    assert found.dtype == torch.float32
    near = expected > -1
    assert_close(found[near], expected[near], rtol=0, atol=0.1)
    assert near.any(dim=-1).all() and not (found[~near] > -0.5).any()


# ── Hierarchical ────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
@pytest.mark.parametrize("given", [True, False], ids=["given", "equal"])
def test_hierarchical_weights_are_products_of_two_softmaxes(given, make_memory):
    state_score, segment_score = (build_score("general", QUERY, MEMORY, 5).double() for _ in range(2))
    segment_attention = HierarchicalSoftmax(segment_score, 0 if given else 3)
    attention = ScoredAttention(state_score, MEMORY, segment_attention=segment_attention)
    memory = make_memory([8, 4], MEMORY, torch.float64)
    segment_ids = torch.tensor([[0, 0, 0, 0, 0, 2, 2, 3], [1, 1, 0, 1, 0, 0, 0, 0]])  # the first has no segment 1
    memory = replace(memory, segment_ids=segment_ids)
    queries = torch.randn(2, 3, QUERY, dtype=torch.float64)
    found = attention.attend_sequence(queries, attention.prepare(memory)).weights
    scores = state_score(queries, state_score.project_keys(memory.states), AttentionState())
    for row, length in enumerate((8, 4)):
        groups: dict[int, list[int]] = {}
        for s in range(length):
            groups.setdefault(int(segment_ids[row, s]) if given else s // 3, []).append(s)
        for t in range(3):
            segment_weights = softmax(
                [
                    float(queries[row, t] @ segment_score.weight.weight @ memory.states[row, inside].mean(dim=0))
                    for inside in groups.values()
                ]
            )
            expected = [0.0] * 8
            for segment_weight, inside in zip(segment_weights, groups.values(), strict=True):
                for s, weight in zip(inside, softmax([scores[row, t, s].item() for s in inside]), strict=True):
                    expected[s] = segment_weight * weight
            assert_close(found[row, t].tolist(), expected, rtol=1e-6, atol=1e-12)


def test_a_single_segment_changes_nothing(make_memory):
    score = build_score("additive", QUERY, MEMORY, 5)
    flat = ScoredAttention(score, MEMORY)
    whole = ScoredAttention(score, MEMORY, segment_attention=HierarchicalSoftmax(score, 100))
    memory, queries = make_memory(LENGTHS, MEMORY), torch.randn(4, 3, QUERY)
    assert_close(*(each.attend_sequence(queries, each.prepare(memory)).weights for each in (flat, whole)))


def test_segments_refuse_a_sequential_score():
    with pytest.raises(ValueError, match="score is LocationSensitive, which is sequential"):
        HierarchicalSoftmax(LocationSensitive(QUERY, MEMORY, 5))
