"""What several test files share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from decoders import BOS, EOS, PAD, AutoregressiveDecoder, DecoderOutput, DecoderState
from attention.memory import Memory

RUBBISH = 100.0  # padding is filled with it, so that whoever looks at padding is caught


@dataclass(frozen=True)
class TableState(DecoderState):
    last: Tensor  # (rows, 2): the last two tokens
    bias: Tensor  # (rows, vocab)

    def select(self, rows: Tensor) -> "TableState":
        return TableState(self.last[rows.flatten()], self.bias[rows.flatten()])


class Table(AutoregressiveDecoder):
    """A toy: what comes next depends on the last two tokens and, through the memory's summary, on the sentence."""

    def __init__(self, vocab: int, *, ending: float = 0.0):
        super().__init__()
        self.table = 2 * torch.randn(vocab, vocab, vocab)
        self.table[..., EOS] += ending
        self.rows: list[int] = []  # how many hypotheses each step was asked about

    def counting(self) -> "Table":
        """Makes it write one word after the other, round and round."""
        for word in range(EOS + 1, self.table.size(0)):
            self.table[:, word, max(EOS + 1, (word + 1) % self.table.size(0))] += 10
        return self

    def start(self, memory: Memory) -> TableState:
        return TableState(torch.full((memory.summary.size(0), 2), PAD), memory.summary)

    def step(self, tokens: Tensor, state: TableState) -> tuple[DecoderOutput, TableState]:
        self.rows.append(tokens.size(0))
        last = torch.stack([state.last[:, 1], tokens], dim=1)
        energies = self.table[last[:, 0], last[:, 1]] + state.bias
        return DecoderOutput(energies[:, None], None), TableState(last, state.bias)

    def logits(self, features: Tensor) -> Tensor:
        return features

    def gains(self, summary: Tensor, written: list[int]) -> list[float]:
        """Log-probabilities of all that may come after ``written``, in a sentence with this summary."""
        before = [PAD, BOS, *written][-2:]
        return (self.table[before[0], before[1]] + summary).log_softmax(dim=-1).tolist()

    def log_probability(self, summary: Tensor, tokens: list[int]) -> float:
        """Of a whole sentence with its end."""
        return sum(self.gains(summary, tokens[:at])[token] for at, token in enumerate([*tokens, EOS]))

    def greedy(self, summary: Tensor, min_length: int, max_length: int) -> list[int]:
        """Always the most probable of what is allowed."""
        words, written = range(EOS + 1, self.table.size(0)), []
        while len(written) < max_length:
            gains = self.gains(summary, written)
            token = max(words if len(written) < min_length else [EOS, *words], key=gains.__getitem__)
            if token == EOS:
                break
            written.append(token)
        return written


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory) -> Iterator[None]:
    """What is kept between runs is kept for this session alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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


@pytest.fixture
def make_table() -> type[Table]:
    """Makes a toy decoder: ``make_table(vocab, ending=0.0)``."""
    return Table
