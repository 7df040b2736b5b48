"""The memory: selection of rows."""

import torch
from torch.testing import assert_close

from attention import Memory


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
