"""The checks of all calls in the tests: a wrong type or shape is an error there."""

import pytest
import torch

from attention.memory import Memory
from tasks.common.text.tokenizer import pad_ids


def test_a_wrong_type_and_sizes_that_do_not_go_together_are_errors():
    with pytest.raises(TypeError, match="sentences=3 violates type hint"):
        pad_ids(3)  # pyright: ignore[reportArgumentType]
    states, mask = torch.ones(2, 3, 4), torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(TypeError, match="source is 5 which does not equal the existing value of 3"):
        Memory(states, mask, torch.ones(2, 4))
