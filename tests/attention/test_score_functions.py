"""Attention: every score is its formula, weights share out the real positions, and many heads are a plain loop."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from attention import Attention, FixedContext, MultiHeadAttention, Score, ScoredAttention, build_score
from encoders import Memory

SCORES = ("dot", "scaled_dot", "cosine", "general", "concat", "additive")
LENGTHS = [5, 2, 1, 3]
SAME, LARGER_QUERY, LARGER_MEMORY = (6, 6), (6, 4), (4, 6)

every_score = pytest.mark.parametrize("name", SCORES)
every_size = pytest.mark.parametrize("sizes", [SAME, LARGER_QUERY, LARGER_MEMORY], ids=str)
one_or_two_heads = pytest.mark.parametrize("heads", [1, 2])


def build(name: str, heads: int = 1, query_dim: int = 6, memory_dim: int = 4) -> Attention:
    """One head, or several with queries and memories of their share of the sizes."""
    score = build_score(name, query_dim // heads, memory_dim // heads, hidden_dim=5)
    single = ScoredAttention(score, memory_dim // heads)
    return single if heads == 1 else MultiHeadAttention(single, query_dim, memory_dim, heads)


# ── The formulas, in plain Python ───────────────────────────────────────────────────────────────────────────


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def times(matrix: torch.Tensor, vector: list[float]) -> list[float]:
    return [dot(row, vector) for row in matrix.tolist()]


def energy(name: str, score: Score, query: list[float], state: list[float]) -> float:
    """How well one query fits one state, as published, with the weights of ``score``."""
    match name:
        case "general":
            return dot(query, times(score.matrix.weight, state))
        case "concat":
            hidden = times(score.joined.weight, query + state)
            return dot(score.vector.weight[0].tolist(), [math.tanh(unit) for unit in hidden])
        case "additive":
            terms = times(score.query.weight, query), times(score.key.weight, state), score.key.bias.tolist()
            return dot(score.vector.weight[0].tolist(), [math.tanh(sum(unit)) for unit in zip(*terms, strict=True)])
    key = state if len(query) == len(state) else times(score.project.weight, state)
    match name:
        case "dot":
            return dot(query, key)
        case "scaled_dot":
            return dot(query, key) / math.sqrt(len(query))
        case "cosine":
            temperature = math.exp(score.log_temperature.item())
            return temperature * dot(query, key) / math.sqrt(dot(query, query) * dot(key, key))
    raise AssertionError(name)


def energies(name: str, score: Score, queries: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    rows = zip(queries.tolist(), states.tolist(), strict=True)
    looped = [[[energy(name, score, query, state) for state in ss] for query in qs] for qs, ss in rows]
    return torch.tensor(looped, dtype=queries.dtype)


# ── Scores ──────────────────────────────────────────────────────────────────────────────────────────────────


@every_score
@every_size
def test_every_score_equals_the_plain_loop_over_its_formula(name, sizes):
    score = build_score(name, *sizes, hidden_dim=5).double()
    queries = torch.randn(2, 3, sizes[0], dtype=torch.float64)
    states = torch.randn(2, 4, sizes[1], dtype=torch.float64)
    found = score(queries, score.keys(states))
    assert_close(found, energies(name, score, queries, states), rtol=1e-6, atol=1e-12)


@every_score
@every_size
def test_gradients_of_every_score_are_right_through_soft_attention(name, sizes, make_memory):
    attention = build(name, 1, *sizes).double()
    memory = make_memory([3, 2], sizes[1], torch.float64)
    queries = torch.randn(2, 2, sizes[0], dtype=torch.float64, requires_grad=True)
    states = memory.states.requires_grad_()

    def look(queries, states, *parameters):
        glance = attention.attend(queries, attention.start(Memory(states, memory.mask, memory.summary)))
        return glance.context, glance.weights

    assert gradcheck(look, (queries, states, *attention.parameters()))


# ── Weights and contexts ────────────────────────────────────────────────────────────────────────────────────


@every_score
@one_or_two_heads
def test_weights_sum_to_one_over_real_positions_and_are_zero_on_padding(name, heads, make_memory):
    attention, memory = build(name, heads), make_memory(LENGTHS, 4)
    weights = attention.attend(torch.randn(4, 3, 6), attention.start(memory)).weights
    assert weights.shape == (4, 3, 5)
    assert (weights >= 0).all()
    assert_close(weights.sum(dim=-1), torch.ones(4, 3))
    assert (weights[~memory.mask[:, None].expand_as(weights)] == 0).all()


@every_score
def test_the_context_is_the_mean_of_the_states_by_their_weights(name, make_memory):
    attention, memory = build(name).double(), make_memory(LENGTHS, 4, torch.float64)
    queries = torch.randn(4, 3, 6, dtype=torch.float64)
    glance = attention.attend(queries, attention.start(memory))
    exponentials = energies(name, attention.score, queries, memory.states).exp() * memory.mask[:, None]
    weights = exponentials / exponentials.sum(dim=-1, keepdim=True)
    assert_close(glance.weights, weights, rtol=1e-5, atol=1e-6)
    assert_close(glance.context, torch.einsum("bqs,bsd->bqd", weights, memory.states), rtol=1e-5, atol=1e-4)


@every_score
@one_or_two_heads
def test_a_sentence_alone_gets_the_same_answer_as_inside_a_padded_batch(name, heads, make_memory, alone):
    attention, memory, queries = build(name, heads), make_memory(LENGTHS, 4), torch.randn(4, 3, 6)
    together = attention.attend(queries, attention.start(memory))
    for row, length in enumerate(LENGTHS):
        single = attention.attend(queries[row : row + 1], attention.start(alone(memory, row)))
        assert_close(single.context[0], together.context[row])
        assert_close(single.weights[0], together.weights[row, :, :length])


@every_score
@one_or_two_heads
def test_many_queries_at_once_equal_one_query_at_a_time(name, heads, make_memory):
    attention, queries = build(name, heads), torch.randn(4, 3, 6)
    lookup = attention.start(make_memory(LENGTHS, 4))
    at_once = attention.attend(queries, lookup)
    one_by_one = [attention.attend(query[:, None], lookup) for query in queries.unbind(1)]
    assert_close(torch.cat([glance.context for glance in one_by_one], dim=1), at_once.context)
    assert_close(torch.cat([glance.weights for glance in one_by_one], dim=1), at_once.weights)


@every_score
@one_or_two_heads
def test_nothing_is_kept_on_the_module_between_calls(name, heads, make_memory):
    attention = build(name, heads)
    first, second = (attention.start(make_memory(lengths, 4)) for lengths in (LENGTHS, [2, 7, 1, 4]))
    queries = torch.randn(2, 4, 3, 6)
    kept = dict(vars(attention))
    apart = [attention.attend(query, first).context for query in queries]
    interleaved = []
    for query in queries:
        interleaved.append(attention.attend(query, first).context)
        attention.attend(query, second)
    assert_close(interleaved, apart, rtol=0, atol=0)
    assert vars(attention) == kept


@every_score
@one_or_two_heads
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_the_answer_has_the_precision_of_the_question(name, heads, dtype, make_memory):
    attention, memory = build(name, heads).to(dtype), make_memory(LENGTHS, 4, dtype)
    glance = attention.attend(torch.randn(4, 3, 6, dtype=dtype), attention.start(memory))
    assert glance.context.dtype == glance.weights.dtype == dtype
    tolerance = {torch.bfloat16: 1e-2, torch.float32: 1e-6, torch.float64: 1e-12}[dtype]
    assert_close(glance.weights.sum(dim=-1), torch.ones(4, 3, dtype=dtype), rtol=0, atol=tolerance)


# ── Many heads ──────────────────────────────────────────────────────────────────────────────────────────────


@every_score
@pytest.mark.parametrize("heads", [2, 3])
def test_many_heads_equal_a_loop_over_heads_written_out_from_their_weights(name, heads, make_memory):
    attention, memory = build(name, heads, 6, 12).double(), make_memory(LENGTHS, 12, torch.float64)
    queries = torch.randn(4, 3, 6, dtype=torch.float64)
    glance = attention.attend(queries, attention.start(memory))
    contexts, weights = [], []
    for head in range(heads):
        mine = [slice(head * dim // heads, (head + 1) * dim // heads) for dim in (6, 12)]
        own_queries = queries @ attention.query.weight[mine[0]].T
        own_keys = memory.states @ attention.key.weight[mine[1]].T
        own_values = memory.states @ attention.value.weight[mine[1]].T
        own = energies(name, attention.head.score, own_queries, own_keys)
        weights.append(own.masked_fill(~memory.mask[:, None], -math.inf).softmax(dim=-1))
        contexts.append(weights[-1] @ own_values)
    assert_close(glance.context, torch.cat(contexts, dim=-1) @ attention.joined.weight.T, rtol=1e-5, atol=1e-4)
    assert_close(glance.weights, sum(weights) / heads, rtol=1e-5, atol=1e-6)


@every_score
def test_one_head_with_identities_for_matrices_equals_the_head_itself(name, make_memory):
    single, queries = build(name), torch.randn(4, 3, 6)
    many = MultiHeadAttention(single, 6, 4, num_heads=1)
    for linear in (many.query, many.key, many.value, many.joined):
        torch.nn.init.eye_(linear.weight)
    memory = make_memory(LENGTHS, 4)
    expected, found = (attention.attend(queries, attention.start(memory)) for attention in (single, many))
    assert_close(found.context, expected.context)
    assert_close(found.weights, expected.weights)


@every_score
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_selected_lookups_are_the_lookups_of_the_selected_sentences(name, heads, make_memory):
    attention, memory = build(name, heads, 6, 12), make_memory(LENGTHS, 12)
    rows = torch.tensor([3, 0])
    selected, expected = attention.start(memory).select(rows), attention.start(memory.select(rows))
    assert selected.batch_size == 2
    for field in ("keys", "values", "mask", "heads"):
        assert_close(getattr(selected, field), getattr(expected, field))


def test_heads_that_do_not_divide_are_refused_in_one_line():
    for query_dim, memory_dim in ((6, 8), (8, 6)):
        with pytest.raises(ValueError, match=rf"4 heads .*{query_dim}.*{memory_dim}.*heads") as caught:
            MultiHeadAttention(FixedContext(2), query_dim, memory_dim, num_heads=4)
        assert "\n" not in str(caught.value)


# ── None at all ─────────────────────────────────────────────────────────────────────────────────────────────


def test_no_attention_gives_every_query_the_summary_whatever_it_asks(make_memory):
    attention, memory = FixedContext(4), make_memory(LENGTHS, 4)
    lookup = attention.start(memory)
    for queries in torch.randn(2, 4, 3, 6):
        glance = attention.attend(queries, lookup)
        assert_close(glance.context, memory.summary[:, None].expand(-1, 3, -1))
        assert glance.weights is None
