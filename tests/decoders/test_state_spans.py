"""Spans of states: the best monotone path of attention and of the transducer, against all paths; and of any decoder."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from attention.fixed_context import NoContext
from attention.memory import Memory
from attention.score_functions import build_score
from attention.scored import ScoredAttention
from decoders.base import BOS, EOS, PAD
from decoders.ctc import CTC
from decoders.forced_alignment import align_attention
from decoders.joint_ctc import JointCTCAttention
from decoders.recurrent import RecurrentDecoder
from decoders.transducer import Transducer
from decoders.transducer_lattice import best_path

DIM, VOCAB = 6, 7


@pytest.fixture
def memory(make_memory) -> Memory:
    return make_memory([6, 4, 5], DIM)


def attention_decoder() -> RecurrentDecoder:
    return RecurrentDecoder(nn.Embedding(VOCAB, 5), ScoredAttention(build_score("additive", 8, DIM, 5), DIM), 8, DIM)


def transducer() -> Transducer:
    return Transducer(RecurrentDecoder(nn.Embedding(VOCAB, 6), NoContext(), 6, DIM, init_state="zeros"), DIM)


def joint() -> JointCTCAttention:
    return JointCTCAttention(attention_decoder(), CTC(DIM, VOCAB), 0.3)


KINDS = {"attention": attention_decoder, "ctc": lambda: CTC(DIM, VOCAB), "transducer": transducer, "joint": joint}


def best_spans(rows: Tensor) -> list[list[int]]:
    """Find the best path through (groups, states) of log-odds against chance by trying all."""
    num_groups, num_states = rows.shape
    spans = [(first, last) for first in range(num_states) for last in range(first + 1, num_states + 1)]
    in_order = (
        chosen
        for chosen in itertools.product(spans, repeat=num_groups)
        if all(left[1] <= right[0] for left, right in itertools.pairwise(chosen))
    )
    best = max(
        in_order, key=lambda chosen: sum(float(rows[group, slice(*span)].sum()) for group, span in enumerate(chosen))
    )
    return [list(span) for span in best]


def test_groups_have_the_states_that_they_attend_to_more_than_evenly():
    weights = torch.randn(2, 5, 6).mul(2).softmax(dim=-1)
    weights[1, :, 4:] = 0  # padding
    weights = weights / weights.sum(dim=-1, keepdim=True)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    groups = torch.tensor([[0, 0, -1, 1, 2], [0, 1, 1, -1, -1]])
    found = align_attention(weights, groups, mask)
    for row, (num_groups, num_states) in enumerate([(3, 6), (2, 4)]):
        mean = torch.stack([weights[row, groups[row] == group].mean(dim=0) for group in range(num_groups)])
        assert found[row, :num_groups].tolist() == best_spans((mean[:, :num_states] * num_states).log())
    assert found[1, 2].tolist() == [-1, -1]


def test_a_jump_back_and_a_rest_on_a_pause_are_not_followed():
    weights = torch.full((4, 8), 0.01)
    for row, state in enumerate([1, 6, 4, 6]):  # the second token attends ahead, where the last is read
        weights[row, state] = 1.0
    weights[1, 3] = 0.5
    weights[3, 7] = 0.1  # the end of the recording
    weights = weights / weights.sum(dim=1, keepdim=True)
    found = align_attention(weights[None], torch.arange(4)[None], torch.ones(1, 8, dtype=torch.bool))
    assert found[0].tolist() == [[1, 2], [3, 4], [4, 5], [6, 7]]


def test_more_groups_than_states_have_no_spans():
    found = align_attention(torch.full((1, 3, 2), 0.5), torch.tensor([[0, 1, 2]]), torch.ones(1, 2, dtype=torch.bool))
    assert found.tolist() == [[[-1, -1]] * 3]


def test_the_best_path_through_a_lattice_is_that_of_all_paths():
    cells = torch.randn(2, 5, 4, 2).log_softmax(dim=-1)
    num_frames, lengths = torch.tensor([5, 3]), torch.tensor([3, 2])
    found = best_path(cells, num_frames, lengths)
    for row, (frames, labels) in enumerate([(5, 3), (3, 2)]):

        def log_prob(path: tuple[int, ...], row: int = row, frames: int = frames) -> float:
            """Of the path that emits its labels at these frames."""
            total = sum(float(cells[row, frame, label, 1]) for label, frame in enumerate(path))
            return total + sum(float(cells[row, frame, sum(at <= frame for at in path), 0]) for frame in range(frames))

        best = max(itertools.combinations_with_replacement(range(frames), labels), key=log_prob)
        assert found[row].tolist() == [*best, *[-1] * (3 - labels)]
    assert best_path(cells[:, :, :1], num_frames, torch.zeros(2, dtype=torch.long)).shape == (2, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_spans_are_in_order_and_padding_changes_none(kind: str, memory: Memory):
    decoder = KINDS[kind]().eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter)
    tokens = torch.tensor([[BOS, 4, 5, 6, EOS], [BOS, 5, EOS, PAD, PAD], [BOS, EOS, PAD, PAD, PAD]])
    groups = torch.tensor([[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1], [-1] * 5])
    found = decoder.state_spans(tokens, groups, memory)
    assert found is not None and found.shape == (3, 2, 2)
    (first, second), (alone, none), nothing = found.tolist()
    assert 0 <= first[0] < first[1] <= second[0] + (kind == "transducer") and second[0] < second[1] <= 6
    assert 0 <= alone[0] < alone[1] <= 4
    assert none == [-1, -1] and nothing == [[-1, -1]] * 2
    row = Memory(memory.states[1:2, :4], memory.mask[1:2, :4], memory.summary[1:2])
    assert decoder.state_spans(tokens[1:2, :3], groups[1:2, :3], row).tolist() == [[alone]]


def test_a_decoder_without_attention_has_no_spans(memory: Memory):
    decoder = RecurrentDecoder(nn.Embedding(VOCAB, 5), NoContext(), 8, DIM).eval()
    tokens = torch.tensor([[BOS, 4, EOS]] * 3)
    assert decoder.state_spans(tokens, torch.tensor([[-1, 0, -1]] * 3), memory) is None
