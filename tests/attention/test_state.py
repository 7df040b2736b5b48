"""The explicit state of attention: steps, reordering, and the choice between two states."""

import itertools
from typing import get_args

import pytest
import torch
from torch.testing import assert_close

from attention.base import Attention, cat_outputs
from attention.build import build_attention
from attention.config import AttentionConfig, LocalityName
from attention.fixed_context import FixedContext, NoContext
from attention.state import AttentionState, SampleInfo

QUERY, MEMORY = 6, 4
LENGTHS = [7, 2, 5]
BATCH, BEAM = 3, 2

# A list, since an iterator would be empty after the first test.
KINDS = list(itertools.product(("general", "location"), ("global", *get_args(LocalityName)), (1, 2)))
every_kind = pytest.mark.parametrize(("score", "locality", "num_heads"), KINDS)


def build(score: str, locality: str, num_heads: int) -> Attention:
    config = AttentionConfig(score=score, locality=locality, num_heads=num_heads, hidden_dim=10, window_size=2.0)
    return build_attention(config, QUERY, MEMORY).eval()


def assert_same(found: AttentionState, expected: AttentionState) -> None:
    assert_close(vars(found), vars(expected), rtol=0, atol=0)


@every_kind
def test_a_state_holds_what_the_attention_needs_and_is_zero_at_the_start(score, locality, num_heads, make_memory):
    attention = build(score, locality, num_heads)
    state = attention.init_state(attention.prepare(make_memory(LENGTHS, MEMORY)))
    assert (state.step is not None) == attention.has_state
    assert (state.weights is not None) == attention.is_sequential
    if state.step is not None:
        assert state.step.tolist() == [[0]] * BATCH
    if state.weights is not None:
        heads = [num_heads] if num_heads > 1 else []
        assert state.weights.shape == (BATCH, 1, *heads, 2, max(LENGTHS))
        assert not state.weights.any()


@every_kind
def test_forward_with_the_state_equals_attend_sequence(score, locality, num_heads, make_memory):
    attention = build(score, locality, num_heads)
    keys, queries = attention.prepare(make_memory(LENGTHS, MEMORY)), torch.randn(BATCH, 5, QUERY)
    expected = attention.attend_sequence(queries, keys)
    outputs, state = [], attention.init_state(keys)
    for query in queries.split(1, dim=1):
        outputs.append(attention(query, keys, state))
        state = outputs[-1].state
    found = cat_outputs(outputs)
    assert_close(found.context, expected.context)
    assert_close(found.weights, expected.weights)
    assert_close(vars(found.state), vars(expected.state))


@every_kind
def test_a_state_counts_the_steps_and_adds_up_the_weights(score, locality, num_heads, make_memory):
    attention = build(score, locality, num_heads)
    output = attention.attend_sequence(torch.randn(BATCH, 5, QUERY), attention.prepare(make_memory(LENGTHS, MEMORY)))
    if attention.has_state:
        assert output.state.step.tolist() == [[5]] * BATCH
    if attention.is_sequential:
        last, total = output.state.last_weights[:, 0], output.state.total_weights[:, 0]
        if num_heads > 1:
            last, total = last.mean(dim=1), total.mean(dim=1)
        assert_close(last, output.weights[:, -1])
        assert_close(total, output.weights.sum(dim=1))


@every_kind
def test_queries_on_one_axis_are_independent_steps_with_their_own_states(score, locality, num_heads, make_memory):
    attention = build(score, locality, num_heads)
    keys, queries = attention.prepare(make_memory(LENGTHS, MEMORY)), torch.randn(BATCH, 3, QUERY)
    early = attention.attend_sequence(queries[:, :1], keys).state
    late = attention.attend_sequence(queries, keys).state
    both = early.map(lambda *parts: torch.cat(parts, dim=1), late)
    together = attention(queries[:, :2], keys, both)
    for index, state in enumerate((early, late)):
        single = attention(queries[:, index : index + 1], keys, state)
        assert_close(single.context[:, 0], together.context[:, index])
        assert_close(single.weights[:, 0], together.weights[:, index])


@every_kind
def test_a_step_of_a_beam_equals_a_step_of_each_hypothesis_with_a_copy_of_its_memory(
    score, locality, num_heads, make_memory
):
    attention, memory = build(score, locality, num_heads), make_memory(LENGTHS, MEMORY)
    batch_index = torch.arange(BATCH).repeat_interleave(BEAM)
    keys, copies = attention.prepare(memory), attention.prepare(memory.select(batch_index))
    state, copied_state = attention.init_state(keys).reorder(batch_index), attention.init_state(copies)
    for queries in torch.randn(3, BATCH * BEAM, QUERY):
        found, expected = attention.attend_step(queries, keys, state), attention(queries[:, None], copies, copied_state)
        assert_close(found.context, expected.context)
        assert_close(found.weights, expected.weights)
        state, copied_state = found.state, expected.state
        assert_close(vars(state), vars(copied_state))


@every_kind
def test_a_reordered_state_continues_the_chosen_hypotheses(score, locality, num_heads, make_memory):
    attention, memory = build(score, locality, num_heads), make_memory(LENGTHS, MEMORY)
    keys = attention.prepare(memory)
    batch_index = torch.arange(BATCH).repeat_interleave(BEAM)
    state = attention.attend_step(
        torch.randn(BATCH * BEAM, QUERY), keys, attention.init_state(keys).reorder(batch_index)
    ).state
    queries, rows = torch.randn(BATCH * BEAM, QUERY), torch.tensor([[1, 1], [2, 3], [5, 4]])
    swapped = attention.attend_step(queries[rows.flatten()], keys, state.reorder(rows.flatten()))
    straight = attention.attend_step(queries, keys, state)
    assert_close(swapped.context, straight.context[rows.flatten()])
    assert_close(vars(swapped.state), vars(straight.state.reorder(rows.flatten())))


@every_kind
def test_hypotheses_of_sentences_that_leave_the_batch_are_dropped_from_keys_and_state(
    score, locality, num_heads, make_memory
):
    attention, memory = build(score, locality, num_heads), make_memory(LENGTHS, MEMORY)
    keys, queries = attention.prepare(memory), torch.randn(BATCH * BEAM, QUERY)
    state = attention.init_state(keys).reorder(torch.arange(BATCH).repeat_interleave(BEAM))
    expected = attention.attend_step(queries, keys, state)
    rows = torch.tensor([[0, 1], [5, 4]])
    found = attention.attend_step(queries[rows.flatten()], keys.reorder(rows, 6), state.reorder(rows.flatten()))
    assert_close(found.context, expected.context[rows.flatten()])


@every_kind
def test_where_takes_each_row_from_one_of_two_states(score, locality, num_heads, make_memory):
    attention = build(score, locality, num_heads)
    keys = attention.prepare(make_memory(LENGTHS, MEMORY))
    first, second = (attention.attend_sequence(torch.randn(BATCH, steps, QUERY), keys).state for steps in (1, 3))
    mixed = first.where(torch.tensor([True, False, True]), second)
    for row, source in enumerate((first, second, first)):
        index = torch.tensor([row])
        assert_same(mixed.reorder(index), source.reorder(index))


@pytest.mark.parametrize("attention", [FixedContext(MEMORY), NoContext(), build("general", "local_p", 2)])
def test_an_empty_state_stays_itself(attention, make_memory):
    keys = attention.prepare(make_memory(LENGTHS, MEMORY))
    state = attention.init_state(keys)
    assert state == AttentionState()
    assert state.reorder(torch.tensor([2, 0])) is state
    assert state.where(torch.tensor([True, False, True]), AttentionState()) is state
    assert attention.attend_step(torch.randn(BATCH * BEAM, QUERY), keys, state).state == state


def test_samples_are_concatenated_over_steps_and_added_over_heads():
    first, second = (SampleInfo(torch.randn(2, 3), torch.rand(2, 3)) for _ in range(2))
    consecutive, parallel = SampleInfo.cat([first, None, second]), SampleInfo.sum([first, None, second])
    assert_close(consecutive.log_prob, torch.cat([first.log_prob, second.log_prob], dim=1))
    assert_close(consecutive.entropy, torch.cat([first.entropy, second.entropy], dim=1))
    assert_close(parallel.log_prob, first.log_prob + second.log_prob)
    assert_close(parallel.entropy, first.entropy + second.entropy)
    assert SampleInfo.cat([None]) is None and SampleInfo.sum([None, None]) is None
