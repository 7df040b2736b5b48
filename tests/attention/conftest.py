"""Fixtures that the tests of attention share."""

from collections.abc import Callable

import pytest
from torch import Tensor

from attention.base import Attention, AttentionOutput
from attention.memory import Memory


@pytest.fixture
def one_by_one() -> Callable[[Attention, Memory, Tensor], list[AttentionOutput]]:
    """Attend with one query after the other, each with the state that the one before returned."""

    def attend(attention: Attention, memory: Memory, queries: Tensor) -> list[AttentionOutput]:
        keys, outputs = attention.prepare(memory), []
        state = attention.init_state(keys)
        for query in queries.split(1, dim=1):
            outputs.append(attention(query, keys, state))
            state = outputs[-1].state
        return outputs

    return attend


@pytest.fixture
def first_steps() -> Callable[[Attention, Memory, Tensor], AttentionOutput]:
    """Attend with several queries a sentence, each the first step of a hypothesis of its own."""

    def attend(attention: Attention, memory: Memory, queries: Tensor) -> AttentionOutput:
        keys = attention.prepare(memory)
        state = attention.init_state(keys).map(lambda part: part.expand(-1, queries.size(1), *part.shape[2:]))
        return attention(queries, keys, state)

    return attend
