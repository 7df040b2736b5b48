"""Score functions equal their formulas, weights sum to one over the real positions, and heads equal a plain loop."""

import math
from typing import get_args

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from attention.base import Attention
from attention.config import HIDDEN_LAYER_SCORES, ScoreName
from attention.fixed_context import FixedContext, NoContext
from attention.memory import Memory
from attention.multihead import MultiHeadAttention
from attention.score_functions import build_score, segment_score_name
from attention.scored import Score, ScoredAttention
from attention.state import AttentionState

SCORES = get_args(ScoreName)
LENGTHS = [5, 2, 1, 3]
SAME, LARGER_QUERY, LARGER_MEMORY = (6, 6), (6, 4), (4, 6)

every_score = pytest.mark.parametrize("name", SCORES)
every_size = pytest.mark.parametrize("sizes", [SAME, LARGER_QUERY, LARGER_MEMORY], ids=str)
one_or_two_heads = pytest.mark.parametrize("num_heads", [1, 2])


def build(name: ScoreName, num_heads: int = 1, query_dim: int = 6, memory_dim: int = 4) -> Attention:
    """Build a single head, or several for their shares of the features."""
    score = build_score(name, query_dim // num_heads, memory_dim // num_heads, hidden_dim=5)
    head = ScoredAttention(score, memory_dim // num_heads)
    return head if num_heads == 1 else MultiHeadAttention(head, query_dim, memory_dim, num_heads)


# ── The formulas, in plain Python ───────────────────────────────────────────────────────────────────────────


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def times(matrix: torch.Tensor, vector: list[float]) -> list[float]:
    return [dot(row, vector) for row in matrix.tolist()]


def location_features(filters: torch.Tensor, weights: list[list[float]], position: int) -> list[float]:
    """Apply each filter to the last and the total weights around a position; there are zeros outside."""
    middle, source = filters.size(2) // 2, range(len(weights[0]))
    return [
        sum(
            kernel[channel][offset] * weights[channel][position + offset - middle]
            for channel in range(2)
            for offset in range(len(kernel[channel]))
            if position + offset - middle in source
        )
        for kernel in filters.tolist()
    ]


def formula(
    name: ScoreName,
    score: Score,
    query: list[float],
    state: list[float],
    weights: list[list[float]],
    position: int,
) -> float:
    """Score one query and one state, as published, with the parameters of ``score``.

    ``weights``: the last and the total weights of all positions, of which ``state`` is at ``position``.
    """
    match name:
        case "general":
            return dot(query, times(score.weight.weight, state))
        case "concat":
            hidden = times(score.proj.weight, query + state)
            return dot(score.v.weight[0].tolist(), [math.tanh(unit) for unit in hidden])
        case "additive" | "location" | "coverage":
            terms = [times(score.query.weight, query), times(score.key.weight, state), score.key.bias.tolist()]
            if name == "location":
                terms.append(times(score.location.weight, location_features(score.filters.weight, weights, position)))
            if name == "coverage":
                terms.append(times(score.coverage.weight, [weights[1][position]]))
            return dot(score.v.weight[0].tolist(), [math.tanh(sum(unit)) for unit in zip(*terms, strict=True)])
    key = state if len(query) == len(state) else times(score.key.weight, state)
    match name:
        case "dot":
            return dot(query, key)
        case "scaled_dot":
            return dot(query, key) / math.sqrt(len(query))
        case "cosine":
            return math.exp(score.log_scale.item()) * dot(query, key) / math.sqrt(dot(query, query) * dot(key, key))
    raise AssertionError(name)


def formula_scores(
    name: ScoreName,
    score: Score,
    queries: torch.Tensor,
    states: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Score all queries and states in a loop; without ``weights`` (batch, queries, 2, source) at the first step."""
    if weights is None:
        weights = torch.zeros(*queries.shape[:2], 2, states.size(1))
    looped = [
        [
            [formula(name, score, query, state, ws, position) for position, state in enumerate(row_states)]
            for query, ws in zip(row_queries, row_weights, strict=True)
        ]
        for row_queries, row_states, row_weights in zip(
            queries.tolist(), states.tolist(), weights.tolist(), strict=True
        )
    ]
    return torch.tensor(looped, dtype=queries.dtype)


# ── Scores ──────────────────────────────────────────────────────────────────────────────────────────────────


@every_score
@every_size
def test_every_score_equals_the_plain_loop_over_its_formula(name, sizes):
    score = build_score(name, *sizes, hidden_dim=5).double()
    queries = torch.randn(2, 3, sizes[0], dtype=torch.float64)
    states = torch.randn(2, 4, sizes[1], dtype=torch.float64)
    weights = torch.rand(2, 3, 2, 4, dtype=torch.float64)
    state = AttentionState(torch.ones(2, 3, dtype=torch.long), weights)
    found = score(queries, score.project_keys(states), state)
    assert_close(found, formula_scores(name, score, queries, states, weights), rtol=1e-6, atol=1e-12)


@every_score
@every_size
def test_gradients_of_every_score_are_right_through_soft_attention(name, sizes, make_memory):
    attention = build(name, 1, *sizes).double()
    memory = make_memory([3, 2], sizes[1], torch.float64)
    queries = torch.randn(2, 2, sizes[0], dtype=torch.float64, requires_grad=True)
    states = memory.states.requires_grad_()

    def run(queries, states, *parameters):
        keys = attention.prepare(Memory(states, memory.mask, memory.summary))
        output = attention.attend_sequence(queries, keys)
        return output.context, output.weights

    assert gradcheck(run, (queries, states, *attention.parameters()))


@every_score
def test_the_scores_with_a_hidden_layer_are_those_that_hidden_dim_changes(name):
    small, large = (build_score(name, 6, 4, hidden_dim).state_dict() for hidden_dim in (5, 7))
    differ = any(small[key].shape != large[key].shape for key in small)
    assert differ == (name in HIDDEN_LAYER_SCORES)


@every_score
def test_the_score_of_segments_needs_no_state(name):
    assert not build_score(segment_score_name(name), 6, 4, 5).is_sequential


# ── Weights and contexts ────────────────────────────────────────────────────────────────────────────────────


@every_score
@one_or_two_heads
def test_weights_sum_to_one_over_real_positions_and_are_zero_on_padding(name, num_heads, make_memory, first_steps):
    attention, memory = build(name, num_heads), make_memory(LENGTHS, 4)
    weights = first_steps(attention, memory, torch.randn(4, 3, 6)).weights
    assert attention.has_weights
    assert weights.shape == (4, 3, 5)
    assert (weights >= 0).all()
    assert_close(weights.sum(dim=-1), torch.ones(4, 3))
    assert (weights[~memory.mask[:, None].expand_as(weights)] == 0).all()


@every_score
def test_the_context_is_the_mean_of_the_states_by_their_weights(name, make_memory, first_steps):
    attention, memory = build(name).double(), make_memory(LENGTHS, 4, torch.float64)
    queries = torch.randn(4, 3, 6, dtype=torch.float64)
    output = first_steps(attention, memory, queries)
    exponentials = formula_scores(name, attention.score, queries, memory.states).exp() * memory.mask[:, None]
    weights = exponentials / exponentials.sum(dim=-1, keepdim=True)
    assert_close(output.weights, weights, rtol=1e-5, atol=1e-6)
    assert_close(output.context, torch.einsum("bqs,bsd->bqd", weights, memory.states), rtol=1e-5, atol=1e-4)


@every_score
@one_or_two_heads
def test_a_sentence_alone_gets_the_same_result_as_in_a_padded_batch(name, num_heads, make_memory, alone, first_steps):
    attention, memory, queries = build(name, num_heads), make_memory(LENGTHS, 4), torch.randn(4, 3, 6)
    together = first_steps(attention, memory, queries)
    for row, length in enumerate(LENGTHS):
        single = first_steps(attention, alone(memory, row), queries[row : row + 1])
        assert_close(single.context[0], together.context[row])
        assert_close(single.weights[0], together.weights[row, :, :length])


@every_score
@one_or_two_heads
def test_many_queries_at_once_equal_one_query_at_a_time(name, num_heads, make_memory, first_steps):
    attention, queries, memory = build(name, num_heads), torch.randn(4, 3, 6), make_memory(LENGTHS, 4)
    keys = attention.prepare(memory)
    at_once = first_steps(attention, memory, queries)
    one_by_one = [attention(query[:, None], keys, attention.init_state(keys)) for query in queries.unbind(1)]
    assert_close(torch.cat([output.context for output in one_by_one], dim=1), at_once.context)
    assert_close(torch.cat([output.weights for output in one_by_one], dim=1), at_once.weights)


@every_score
@one_or_two_heads
def test_nothing_is_kept_on_the_module_between_calls(name, num_heads, make_memory):
    attention = build(name, num_heads)
    first, second = (attention.prepare(make_memory(lengths, 4)) for lengths in (LENGTHS, [2, 7, 1, 4]))
    queries = torch.randn(2, 4, 3, 6)
    kept = dict(vars(attention))
    apart = [attention.attend_sequence(query, first).context for query in queries]
    interleaved = []
    for query in queries:
        interleaved.append(attention.attend_sequence(query, first).context)
        attention.attend_sequence(query, second)
    assert_close(interleaved, apart, rtol=0, atol=0)
    assert vars(attention) == kept


@every_score
@one_or_two_heads
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_the_result_has_the_precision_of_the_query(name, num_heads, dtype, make_memory):
    attention, memory = build(name, num_heads).to(dtype), make_memory(LENGTHS, 4, dtype)
    output = attention.attend_sequence(torch.randn(4, 3, 6, dtype=dtype), attention.prepare(memory))
    assert output.context.dtype == output.weights.dtype == dtype
    tolerance = {torch.bfloat16: 1e-2, torch.float32: 1e-6, torch.float64: 1e-12}[dtype]
    assert_close(output.weights.sum(dim=-1), torch.ones(4, 3, dtype=dtype), rtol=0, atol=tolerance)


# ── Several heads ───────────────────────────────────────────────────────────────────────────────────────────


@every_score
@pytest.mark.parametrize("num_heads", [2, 3])
def test_several_heads_equal_a_loop_over_heads_computed_from_their_parameters(
    name, num_heads, make_memory, first_steps
):
    attention, memory = build(name, num_heads, 6, 12).double(), make_memory(LENGTHS, 12, torch.float64)
    queries = torch.randn(4, 3, 6, dtype=torch.float64)
    output = first_steps(attention, memory, queries)
    contexts, weights = [], []
    for head in range(num_heads):
        query_rows, memory_rows = (slice(head * dim // num_heads, (head + 1) * dim // num_heads) for dim in (6, 12))
        head_queries = queries @ attention.query_proj.weight[query_rows].T
        head_keys = memory.states @ attention.key_proj.weight[memory_rows].T
        head_values = memory.states @ attention.value_proj.weight[memory_rows].T
        scores = formula_scores(name, attention.head.score, head_queries, head_keys)
        weights.append(scores.masked_fill(~memory.mask[:, None], -math.inf).softmax(dim=-1))
        contexts.append(weights[-1] @ head_values)
    assert_close(output.context, torch.cat(contexts, dim=-1) @ attention.out_proj.weight.T, rtol=1e-5, atol=1e-4)
    assert_close(output.weights, sum(weights) / num_heads, rtol=1e-5, atol=1e-6)


@every_score
def test_one_head_with_identity_projections_equals_the_head_itself(name, make_memory):
    single, queries = build(name), torch.randn(4, 3, 6)
    multihead = MultiHeadAttention(single, 6, 4, num_heads=1)
    for linear in (multihead.query_proj, multihead.key_proj, multihead.value_proj, multihead.out_proj):
        torch.nn.init.eye_(linear.weight)
    memory = make_memory(LENGTHS, 4)
    expected, found = (
        attention.attend_sequence(queries, attention.prepare(memory)) for attention in (single, multihead)
    )
    assert_close(found.context, expected.context)
    assert_close(found.weights, expected.weights)


@every_score
@pytest.mark.parametrize("num_heads", [1, 2, 3])
def test_selected_keys_are_the_keys_of_the_selected_sentences(name, num_heads, make_memory):
    attention, memory = build(name, num_heads, 6, 12), make_memory(LENGTHS, 12)
    rows = torch.tensor([3, 0])
    selected, expected = attention.prepare(memory).select(rows), attention.prepare(memory.select(rows))
    assert selected.batch_size == 2
    for field in ("keys", "values", "mask", "num_heads"):
        assert_close(getattr(selected, field), getattr(expected, field))


def test_heads_that_do_not_divide_are_refused_in_one_line():
    for query_dim, memory_dim in ((6, 8), (8, 6)):
        with pytest.raises(ValueError, match=rf"num_heads is 4, .*{query_dim} query .*{memory_dim} memory") as caught:
            MultiHeadAttention(FixedContext(2), query_dim, memory_dim, num_heads=4)
        assert "\n" not in str(caught.value)


# ── Without attention ───────────────────────────────────────────────────────────────────────────────────────


def test_a_fixed_context_is_the_summary_for_every_query(make_memory):
    attention, memory = FixedContext(4), make_memory(LENGTHS, 4)
    keys = attention.prepare(memory)
    for queries in torch.randn(2, 4, 3, 6):
        output = attention.attend_sequence(queries, keys)
        assert_close(output.context, memory.summary[:, None].expand(-1, 3, -1))
        assert output.weights is None
    assert not attention.has_weights


def test_no_context_has_no_features_and_no_weights(make_memory):
    attention = NoContext()
    output = attention.attend_sequence(torch.randn(4, 3, 6), attention.prepare(make_memory(LENGTHS, 4)))
    assert output.context.shape == (4, 3, 0)
    assert output.weights is None
    assert not attention.has_weights
