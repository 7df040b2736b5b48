"""S2VT: the fast pass equals the steps and the plain loop over the paper's two LSTMs, and padding changes nothing."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from attention.memory import Memory
from decoders.base import BOS
from decoders.config import SearchConfig
from decoders.joint_ctc import JointCTCAttention
from decoders.s2vt import S2VT

VOCAB, EMBEDDING, HIDDEN, MEMORY = 11, 6, 8, 4
LENGTHS = [5, 2, 3]


def build(tie_embeddings: bool = True) -> S2VT:
    decoder = S2VT(nn.Embedding(VOCAB, EMBEDDING), HIDDEN, MEMORY, tie_embeddings=tie_embeddings, dropout=0.3).eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    return decoder


def read(cell: nn.LSTM, inputs: torch.Tensor, carried: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Take one step of an LSTM, by its formula."""
    hidden, memory = carried
    gates = cell.weight_ih_l0 @ inputs + cell.bias_ih_l0 + cell.weight_hh_l0 @ hidden + cell.bias_hh_l0
    input_gate, forget_gate, content, output_gate = gates.chunk(4)
    memory = forget_gate.sigmoid() * memory + input_gate.sigmoid() * content.tanh()
    return output_gate.sigmoid() * memory.tanh(), memory


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_it_equals_the_two_phases_of_the_paper(make_memory, tie_embeddings):
    decoder, memory = build(tie_embeddings), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(4, VOCAB, (3, 4))
    features = decoder(tokens, memory).features
    for row, length in enumerate(LENGTHS):
        lower = upper = (torch.zeros(HIDDEN), torch.zeros(HIDDEN))
        for state in memory.states[row, :length]:  # encoding, without tokens
            lower = read(decoder.lower, state, lower)
            upper = read(decoder.upper, torch.cat([lower[0], torch.zeros(EMBEDDING)]), upper)
        for at, token in enumerate(tokens[row]):  # decoding, without frames
            lower = read(decoder.lower, torch.zeros(MEMORY), lower)
            upper = read(decoder.upper, torch.cat([lower[0], decoder.embedding.weight[token]]), upper)
            assert_close(features[row, at], decoder.project(upper[0]), rtol=1e-4, atol=1e-5)


def test_forward_equals_steps_and_padding_changes_nothing(make_memory, alone):
    decoder, memory = build(), make_memory(LENGTHS, MEMORY)
    tokens = torch.randint(4, VOCAB, (3, 4))
    whole = decoder(tokens, memory)
    assert whole.weights is None
    assert_close(decoder.unroll(tokens, memory).features, whole.features, rtol=1e-4, atol=1e-5)
    for row in range(3):
        assert_close(
            decoder(tokens[row : row + 1], alone(memory, row)).features[0], whole.features[row], rtol=1e-4, atol=1e-5
        )


def test_states_follow_the_beam(make_memory):
    decoder, memory = build(), make_memory(LENGTHS, MEMORY)
    state = decoder.init_state(memory).reorder(torch.tensor([[0, 0], [2, 2]]))
    tokens = torch.tensor([4, 5, 4, 5])
    output, state = decoder.step(tokens, state)
    _, swapped = decoder.step(tokens, state.reorder(torch.tensor([[1, 0], [2, 3]])))
    again, _ = decoder.step(torch.tensor([5, 4, 4, 5]), state)
    single, _ = decoder.step(tokens[:1], decoder.init_state(memory).reorder(torch.tensor([[0]])))
    assert_close(output.features[0], single.features[0], rtol=1e-4, atol=1e-5)
    swapped_first = swapped.upper[0][0, 0]
    assert_close(decoder.step(torch.tensor([4]), state.reorder(torch.tensor([[1]])))[1].upper[0][0, 0], swapped_first)
    assert again.features.shape == (4, 1, EMBEDDING)


def test_it_learns_the_order_of_frames_and_works_with_any_search():
    """The sentence is the order of two kinds of frames, which only a network that reads them in order can learn."""
    torch.manual_seed(1)
    decoder = S2VT(nn.Embedding(8, 16), 32, 2)
    orders = torch.tensor([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1]])
    memory = Memory(nn.functional.one_hot(orders, 2).float(), torch.ones(4, 3, dtype=torch.bool), torch.zeros(4, 2))
    tokens = torch.cat([torch.full((4, 1), BOS), orders + 4, torch.full((4, 1), 3)], dim=1)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        decoder.loss(tokens, memory).total.backward()
        optimizer.step()
    for config in (SearchConfig(beam=1, max_length=6), SearchConfig(beam=3, max_length=6)):
        found = decoder.eval().search(memory, config)
        assert [best.tokens for best, *_ in found] == (orders + 4).tolist()


def test_a_ctc_weight_is_refused(make_memory):
    with pytest.raises(ValueError, match=r"^search\.ctc_weight is 0.3"):
        build().search(make_memory(LENGTHS, MEMORY), SearchConfig(ctc_weight=0.3))
    assert not isinstance(build(), JointCTCAttention)
