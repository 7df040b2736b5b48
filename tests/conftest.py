"""Fixtures that several test files share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import tasks.common.data  # noqa: F401  # settings of datasets, before a test imports it
from attention.memory import Memory
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import BOS, EOS, PAD, DecoderOutput, DecoderState
from tasks.common.analysis import plots
from tasks.common.metrics import captions
from tasks.common.training import evaluation_log

PADDING_SCALE = 100.0  # padding is filled with large numbers, so that any use of it is noticed


@dataclass(frozen=True)
class TableState(DecoderState):
    last: Tensor  # (rows, 2): the last two tokens
    bias: Tensor  # (rows, vocab)

    def reorder(self, rows: Tensor) -> "TableState":
        return TableState(self.last[rows.flatten()], self.bias[rows.flatten()])


class Table(AutoregressiveDecoder):
    """A toy decoder: the next token depends on the last two tokens and on the memory's summary."""

    def __init__(self, vocab_size: int, *, eos_logit: float = 0.0):
        super().__init__()
        self.table = 2 * torch.randn(vocab_size, vocab_size, vocab_size)
        self.table[..., EOS] += eos_logit
        self.rows: list[int] = []  # the number of hypotheses at each step

    def counting(self) -> "Table":
        """Make it generate the words in order, over and over again."""
        for word in range(EOS + 1, self.table.size(0)):
            self.table[:, word, max(EOS + 1, (word + 1) % self.table.size(0))] += 10
        return self

    def init_state(self, memory: Memory) -> TableState:
        return TableState(torch.full((memory.summary.size(0), 2), PAD), memory.summary)

    def step(self, tokens: Tensor, state: TableState) -> tuple[DecoderOutput, TableState]:
        self.rows.append(tokens.size(0))
        last = torch.stack([state.last[:, 1], tokens], dim=1)
        logits = self.table[last[:, 0], last[:, 1]] + state.bias
        return DecoderOutput(logits[:, None], None), TableState(last, state.bias)

    def logits(self, features: Tensor) -> Tensor:
        return features

    def next_log_probs(self, summary: Tensor, tokens: list[int]) -> list[float]:
        """Return the log-probabilities of the token after ``tokens``, in a sentence with this summary."""
        last = [PAD, BOS, *tokens][-2:]
        return (self.table[last[0], last[1]] + summary).log_softmax(dim=-1).tolist()

    def log_prob(self, summary: Tensor, tokens: list[int]) -> float:
        """Return the log-probability of a whole sentence, EOS included."""
        return sum(self.next_log_probs(summary, tokens[:at])[token] for at, token in enumerate([*tokens, EOS]))

    def greedy(self, summary: Tensor, min_length: int, max_length: int) -> list[int]:
        """Generate a sentence by always taking the most probable allowed token."""
        words, tokens = range(EOS + 1, self.table.size(0)), []
        while len(tokens) < max_length:
            log_probs = self.next_log_probs(summary, tokens)
            token = max(words if len(tokens) < min_length else [EOS, *words], key=log_probs.__getitem__)
            if token == EOS:
                break
            tokens.append(token)
        return tokens


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _quiet_console(monkeypatch) -> None:
    """Say a warning once in each test, not once for all of them, and announce no stage, however slow the machine."""
    monkeypatch.setattr("tasks.common.console._said", set())
    monkeypatch.setattr("tasks.common.console.DELAY_S", 3600.0)


@pytest.fixture(scope="session", autouse=True)
def _temporary_cache(tmp_path_factory) -> Iterator[None]:
    """Keep what is cached between runs in a folder of this session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_learning_curves() -> Iterator[None]:
    """Draw no learning curves, which take longer than training a few steps; see ``drawn_learning_curves``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_log, "plot_learning_curves", lambda curves, path: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _meteor_without_paraphrases() -> Iterator[None]:
    """Start METEOR without its table of paraphrases, which takes seconds to load; the tests of METEOR load it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captions, "METEOR_PARAPHRASES", ("-m", "exact"))
        yield


@pytest.fixture
def drawn_learning_curves(monkeypatch) -> None:
    """Draw learning curves in a test, as outside of the tests."""
    monkeypatch.setattr(evaluation_log, "plot_learning_curves", plots.plot_learning_curves)


@pytest.fixture
def make_memory() -> Callable[..., Memory]:
    """Make a random memory of sentences with the given lengths; its padding holds large numbers."""

    def make(lengths: list[int], dim: int, dtype: torch.dtype = torch.float32) -> Memory:
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        states = torch.randn(*mask.shape, dim, dtype=dtype)
        states = torch.where(mask[..., None], states, PADDING_SCALE * states)
        return Memory(states, mask, torch.randn(len(lengths), dim, dtype=dtype))

    return make


@pytest.fixture
def alone() -> Callable[[Memory, int], Memory]:
    """Take one sentence out of a memory, without its padding."""

    def take(memory: Memory, sentence: int) -> Memory:
        length = int(memory.mask[sentence].sum())
        row = slice(sentence, sentence + 1)
        return Memory(memory.states[row, :length], memory.mask[row, :length], memory.summary[row])

    return take


@pytest.fixture
def make_table() -> type[Table]:
    """Make a toy decoder: ``make_table(vocab_size, eos_logit=0.0)``."""
    return Table
