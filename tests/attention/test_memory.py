"""The memory: selection of rows."""

import pytest
import torch
from torch.testing import assert_close

from attention.build import build_attention
from attention.config import AttentionConfig
from attention.memory import Memory


def test_selected_rows_keep_all_their_parts():
    mask, ids = torch.ones(3, 4, dtype=torch.bool), torch.arange(12).view(3, 4)
    memory = Memory(torch.randn(3, 4, 2), mask, torch.randn(3, 2), segment_ids=ids, token_ids=ids + 1)
    rows = torch.tensor([2, 0])
    selected = memory.select(rows)
    for name in ("states", "mask", "summary", "segment_ids", "token_ids"):
        assert_close(getattr(selected, name), getattr(memory, name)[rows])


def test_a_memory_without_segments_and_tokens_stays_without_them():
    memory = Memory(torch.randn(2, 3, 2), torch.ones(2, 3, dtype=torch.bool), torch.randn(2, 2))
    selected = memory.select(torch.tensor([1]))
    assert selected.segment_ids is None and selected.token_ids is None


@pytest.mark.parametrize(
    "config", [AttentionConfig(), AttentionConfig(num_heads=2), AttentionConfig(hierarchy="hierarchical")]
)
def test_a_repeated_memory_is_the_same_but_is_projected_once_for_each_source(make_memory, config):
    memory, rows = make_memory([3, 5], 8), torch.tensor([1, 0, 1, 1])
    repeated, selected = memory.repeat(rows), memory.select(rows)
    assert_close((repeated.states, repeated.mask, repeated.summary), (selected.states, selected.mask, selected.summary))
    attention = build_attention(config, 8, 8)
    expected = attention.attend_sequence(torch.ones(4, 2, 8), attention.prepare(selected))
    projected: list[int] = []
    with torch.nn.modules.module.register_module_forward_hook(lambda *call: projected.append(len(call[2]))):
        key_values = attention.prepare(repeated)
    assert max(projected) == len(memory.mask) * config.num_heads
    assert_close(attention.attend_sequence(torch.ones(4, 2, 8), key_values).context, expected.context)
