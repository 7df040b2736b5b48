"""What several test files share."""

from collections.abc import Callable

import pytest
import torch

from encoders import Memory

RUBBISH = 100.0  # padding is filled with it, so that whoever looks at padding is caught


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_memory() -> Callable[..., Memory]:
    """Makes a random memory of sentences with these lengths; what is padding holds large rubbish."""

    def make(lengths: list[int], dim: int, dtype: torch.dtype = torch.float32) -> Memory:
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        states = torch.randn(*mask.shape, dim, dtype=dtype)
        states = torch.where(mask[..., None], states, RUBBISH * states)
        return Memory(states, mask, torch.randn(len(lengths), dim, dtype=dtype))

    return make


@pytest.fixture
def alone() -> Callable[[Memory, int], Memory]:
    """Takes one sentence out of a memory, without its padding."""

    def take(memory: Memory, sentence: int) -> Memory:
        length = int(memory.mask[sentence].sum())
        row = slice(sentence, sentence + 1)
        return Memory(memory.states[row, :length], memory.mask[row, :length], memory.summary[row])

    return take
