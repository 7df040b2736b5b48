"""Where attention looks: areas and segments, each against its formula, and all of them with every score."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from attention import (
    Attention,
    HierarchicalSoftmax,
    LocalM,
    LocalP,
    ScoredAttention,
    build_locality,
    build_score,
)
from encoders import Memory
from tasks.common.config import AttentionConfig
from tasks.common.model import build_attention

QUERY, MEMORY = 6, 4
LENGTHS = [9, 2, 1, 5]
SCORES = ("dot", "scaled_dot", "cosine", "general", "concat", "additive", "location")
AREAS = ("global", "local_m", "local_p", "monotonic", "hard")
STRUCTURES = ("flat", "hierarchical")

every_combination = pytest.mark.parametrize(
    ("score", "area", "structure", "heads"), itertools.product(SCORES, AREAS, STRUCTURES, (1, 2))
)


def build(score: str, area: str, structure: str = "flat", heads: int = 1) -> Attention:
    config = AttentionConfig(
        score=score, locality=area, hierarchy=structure, num_heads=heads, hidden_dim=10, window_size=2.0, segment_size=3
    )
    return build_attention(config, QUERY, MEMORY).eval()


def looks(attention: Attention, memory: Memory, queries: Tensor) -> list:
    """One look after the other, each with what the one before left."""
    lookup, glances = attention.start(memory), []
    for query in queries.split(1, dim=1):
        glances.append(attention.attend(query, lookup, glances[-1].past if glances else None))
    return glances


def softmax(energies: list[float]) -> list[float]:
    exponentials = [math.exp(energy) for energy in energies]
    return [each / sum(exponentials) for each in exponentials]


# ── What holds for all ──────────────────────────────────────────────────────────────────────────────────────


@every_combination
def test_weights_sum_to_one_over_real_positions_and_are_zero_on_padding(score, area, structure, heads, make_memory):
    memory = make_memory(LENGTHS, MEMORY)
    for glance in looks(build(score, area, structure, heads), memory, torch.randn(4, 3, QUERY)):
        assert_close(glance.weights.sum(dim=-1), torch.ones(4, 1))
        assert (glance.weights[~memory.mask[:, None]] == 0).all()
        assert glance.context.isfinite().all()


@every_combination
def test_a_sentence_alone_gets_the_same_answer_as_inside_a_padded_batch(
    score, area, structure, heads, make_memory, alone
):
    attention, memory = build(score, area, structure, heads), make_memory(LENGTHS, MEMORY)
    queries = torch.randn(4, 3, QUERY)
    together = looks(attention, memory, queries)
    for row, length in enumerate(LENGTHS):
        for single, glance in zip(looks(attention, alone(memory, row), queries[[row]]), together, strict=True):
            assert_close(single.context[0], glance.context[row])
            assert_close(single.weights[0], glance.weights[row, :, :length])


@every_combination
def test_all_positions_at_once_equal_one_after_the_other(score, area, structure, heads, make_memory):
    attention, memory = build(score, area, structure, heads), make_memory(LENGTHS, MEMORY)
    queries = torch.randn(4, 4, QUERY)
    at_once = attention.attend_sequence(queries, attention.start(memory))
    one_by_one = looks(attention, memory, queries)
    assert_close(at_once.context, torch.cat([glance.context for glance in one_by_one], dim=1))
    assert_close(at_once.weights, torch.cat([glance.weights for glance in one_by_one], dim=1))
    if at_once.past is not None:
        assert_close(at_once.past, torch.cat([glance.past for glance in one_by_one], dim=1))


@pytest.mark.parametrize(
    ("score", "area", "structure", "heads"),
    itertools.product(("general", "additive", "location"), AREAS, STRUCTURES, (1, 2)),
)
def test_gradients_are_right(score, area, structure, heads, make_memory):
    attention, memory = build(score, area, structure, heads).double(), make_memory([4, 2], MEMORY, torch.float64)
    queries = torch.randn(2, 2, QUERY, dtype=torch.float64, requires_grad=True)
    states = memory.states.requires_grad_()

    def look(queries, states, *parameters):
        glance = attention.attend_sequence(queries, attention.start(replace(memory, states=states)))
        return glance.context, glance.weights

    assert gradcheck(look, (queries, states, *attention.parameters()))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("heads", [1, 2])
def test_selected_lookups_are_the_lookups_of_the_selected_sentences(structure, heads, make_memory):
    attention, memory = build("general", "global", structure, heads), make_memory([5, 9, 1, 9], MEMORY)
    rows = torch.tensor([3, 1])
    queries = torch.randn(2, 3, QUERY)
    selected = attention.attend(queries, attention.start(memory).select(rows))
    assert_close(selected.context, attention.attend(queries, attention.start(memory.select(rows))).context)


# ── Local ───────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def test_local_m_looks_no_farther_than_d_from_the_position_of_the_word(make_memory):
    attention = ScoredAttention(build_score("general", QUERY, MEMORY, 5), MEMORY, locality=LocalM(2)).double()
    memory, queries = make_memory([9, 3], MEMORY, torch.float64), torch.randn(2, 7, QUERY, dtype=torch.float64)
    energies = attention.score(queries, attention.start(memory).keys)
    found = attention.attend(queries, attention.start(memory)).weights
    for row, length in enumerate((9, 3)):
        for t in range(7):
            centre = min(t, length - 1)  # a sentence that is longer than its source stays at the end
            inside = [s for s in range(length) if abs(s - centre) <= 2]
            weights = softmax([energies[row, t, s].item() for s in inside])
            expected = [weights[inside.index(s)] if s in inside else 0.0 for s in range(9)]
            assert_close(found[row, t].tolist(), expected, rtol=1e-6, atol=1e-12)


@torch.no_grad()
def test_local_p_weighs_by_a_gaussian_around_the_position_that_it_predicts(make_memory):
    locality = LocalP(QUERY, 5, width=3)
    attention = ScoredAttention(build_score("general", QUERY, MEMORY, 5), MEMORY, locality=locality).double()
    memory, queries = make_memory([9, 4], MEMORY, torch.float64), torch.randn(2, 4, QUERY, dtype=torch.float64)
    energies = attention.score(queries, attention.start(memory).keys)
    found = attention.attend(queries, attention.start(memory)).weights
    for row, length in enumerate((9, 4)):
        for t in range(4):
            hidden = torch.tanh(locality.query.weight @ queries[row, t])
            centre = (length - 1) / (1 + math.exp(-float(locality.position.weight[0] @ hidden)))
            raw = [
                math.exp(energies[row, t, s].item()) * math.exp(-((s - centre) ** 2) / (2 * 1.5**2))
                if s < length and abs(s - centre) <= 3
                else 0.0
                for s in range(9)
            ]
            assert_close(found[row, t].tolist(), [each / sum(raw) for each in raw], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("width", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("area", ["local_m", "local_p"])
def test_however_narrow_a_window_one_position_is_left(area, width, make_memory):
    config = AttentionConfig(score="dot", locality=area, window_size=width)
    attention = build_attention(config, QUERY, MEMORY)
    weights = attention.attend(torch.randn(4, 12, QUERY), attention.start(make_memory(LENGTHS, MEMORY))).weights
    assert_close(weights.sum(dim=-1), torch.ones(4, 12))


@pytest.mark.parametrize("area", ["local_m", "local_p", "monotonic"])
def test_half_precision_counts_as_far_as_single_does(area):
    torch.manual_seed(2)
    locality = build_locality(area, QUERY, 5, 3.0)
    queries, mask = torch.randn(1, 2, QUERY), torch.ones(1, 700, dtype=torch.bool)
    past = torch.zeros(1, 2, 2, 700)
    past[0, 0, 0, 601] = past[0, 1, 0, 333] = 1.0
    past[0, 0, 1, :601] = past[0, 1, 1, :333] = 1.0
    with torch.no_grad():
        if area == "local_p":
            locality.position.weight.zero_()  # in the middle, at 349.5
        expected = locality(queries, mask, past)
        with torch.autocast("cpu", torch.bfloat16):
            found = locality(queries, mask, past)
    assert found.dtype == torch.float32
    near = expected > -1
    assert_close(found[near], expected[near], rtol=0, atol=0.1)
    assert near.any(dim=-1).all() and not (found[~near] > -0.5).any()


# ── Hierarchical ────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
@pytest.mark.parametrize("given", [True, False], ids=["given", "cut"])
def test_hierarchical_weights_are_products_of_two_softmaxes(given, make_memory):
    states, segments = (build_score("general", QUERY, MEMORY, 5).double() for _ in range(2))
    attention = ScoredAttention(states, MEMORY, segment_attention=HierarchicalSoftmax(segments, 0 if given else 3))
    memory = make_memory([8, 4], MEMORY, torch.float64)
    of = torch.tensor([[0, 0, 0, 0, 0, 2, 2, 3], [1, 1, 0, 1, 0, 0, 0, 0]])  # the first has no segment 1
    memory = replace(memory, segments=of)
    queries = torch.randn(2, 3, QUERY, dtype=torch.float64)
    found = attention.attend(queries, attention.start(memory)).weights
    energies = states(queries, states.keys(memory.states))
    for row, length in enumerate((8, 4)):
        groups: dict[int, list[int]] = {}
        for s in range(length):
            groups.setdefault(int(of[row, s]) if given else s // 3, []).append(s)
        for t in range(3):
            choice = softmax(
                [
                    float(queries[row, t] @ segments.matrix.weight @ memory.states[row, inside].mean(dim=0))
                    for inside in groups.values()
                ]
            )
            expected = [0.0] * 8
            for share, inside in zip(choice, groups.values(), strict=True):
                for s, weight in zip(inside, softmax([energies[row, t, s].item() for s in inside]), strict=True):
                    expected[s] = share * weight
            assert_close(found[row, t].tolist(), expected, rtol=1e-6, atol=1e-12)


def test_a_single_segment_changes_nothing(make_memory):
    score = build_score("additive", QUERY, MEMORY, 5)
    flat, whole = (
        ScoredAttention(score, MEMORY),
        ScoredAttention(score, MEMORY, segment_attention=HierarchicalSoftmax(score, 100)),
    )
    memory, queries = make_memory(LENGTHS, MEMORY), torch.randn(4, 3, QUERY)
    assert_close(*(each.attend(queries, each.start(memory)).weights for each in (flat, whole)))
