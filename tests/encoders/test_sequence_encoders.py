"""What reads sequences beside recurrent networks, and the ways to sum them up in one vector."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from encoders import AttentivePooling, ConvS2SEncoder, MeanPooling, RecurrentEncoder, SourceBatch, TextEncoder
from tasks.common.config import ReaderConfig
from tasks.common.model import build_sequence_encoder

FEATURES, DIM = 4, 6
LENGTHS = [5, 2, 3]

every_kind = pytest.mark.parametrize("kind", ["recurrent", "transformer", "convolutional"])
every_summary = pytest.mark.parametrize("summary", ["own", "attentive"])


@every_kind
@every_summary
def test_padding_changes_no_real_state_and_no_summary(kind, summary, make_memory, alone):
    config = ReaderConfig(kind=kind, hidden=DIM, layers=2, heads=2, summary=summary)
    sequence_encoder = build_sequence_encoder(FEATURES, config).eval()
    batch = make_memory(LENGTHS, FEATURES)
    together = sequence_encoder(batch.states, batch.mask)
    assert together.states.shape == (3, 5, sequence_encoder.dim)
    assert together.summary.shape == (3, sequence_encoder.dim)
    for row, length in enumerate(LENGTHS):
        single = alone(batch, row)
        found = sequence_encoder(single.states, single.mask)
        assert_close(found.states[0], together.states[row, :length])
        assert_close(found.summary[0], together.summary[row])


@every_kind
@every_summary
def test_gradients_reach_every_parameter(kind, summary, make_memory):
    config = ReaderConfig(kind=kind, hidden=DIM, layers=2, heads=2, summary=summary)
    sequence_encoder, batch = build_sequence_encoder(FEATURES, config), make_memory(LENGTHS, FEATURES)
    memory = sequence_encoder(batch.states.clamp(-3, 3), batch.mask)
    (memory.states[batch.mask].square().sum() + (memory.summary**3).sum()).backward()
    unused = {"positions.vectors"}  # of positions that no sentence has
    unreached = [
        name for name, weight in sequence_encoder.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert set(unreached) <= unused


@torch.no_grad()
def test_a_convolution_is_the_published_gated_one(make_memory):
    sequence_encoder, batch = ConvS2SEncoder(FEATURES, DIM, num_layers=1, dropout=0.0), make_memory([4], FEATURES)
    layer = sequence_encoder.layers[0]
    inputs = sequence_encoder.project(batch.states)[0] + sequence_encoder.positions.vectors[:4]
    padded = functional.pad(inputs, (0, 0, 1, 1))
    for place, found in enumerate(sequence_encoder(batch.states, batch.mask).states[0]):
        content, gate = (sum(layer.weight[:, :, tap] @ padded[place + tap] for tap in range(3)) + layer.bias).chunk(2)
        assert_close(found, (inputs[place] + content * torch.sigmoid(gate)) * math.sqrt(0.5))


def test_a_convolution_sees_as_many_neighbours_as_it_has_layers():
    sequence_encoder = ConvS2SEncoder(FEATURES, DIM, num_layers=2, dropout=0.0)
    states = torch.randn(1, 9, FEATURES, requires_grad=True)
    memory = sequence_encoder(states, torch.ones(1, 9, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(memory.states[0, 4].sum(), states)
    assert gradient[0].any(dim=-1).tolist() == [False, False, True, True, True, True, True, False, False]


@torch.no_grad()
def test_attentive_pooling_equals_the_plain_loop_over_its_formula(make_memory):
    pooling, batch = AttentivePooling(FEATURES).double(), make_memory(LENGTHS, FEATURES, torch.float64)
    found = pooling(batch.states, batch.mask)
    for row, length in enumerate(LENGTHS):
        energies = [
            math.exp(float(pooling.vector.weight[0] @ torch.tanh(pooling.hidden(state))))
            for state in batch.states[row, :length]
        ]
        expected = sum(e / sum(energies) * state for e, state in zip(energies, batch.states[row], strict=False))
        assert_close(found[row], expected, rtol=1e-6, atol=1e-9)


def test_the_mean_is_of_real_states_alone_and_zero_of_none(make_memory):
    batch = make_memory(LENGTHS, FEATURES)
    mask = batch.mask.clone()
    mask[1] = False
    found = MeanPooling()(batch.states, mask)
    assert_close(found[0], batch.states[0].mean(dim=0))
    assert_close(found[2], batch.states[2, :3].mean(dim=0), rtol=1e-4, atol=1e-4)
    assert not found[1].any()


def test_a_texts_segments_are_its_sentences():
    encoder = TextEncoder(nn.Embedding(9, FEATURES), RecurrentEncoder(FEATURES, DIM), ends=[4, 5])
    tokens = torch.tensor([[6, 4, 7, 4, 5, 8, 4, 3], [6, 7, 8, 6, 7, 4, 3, 0]])  # 3 ends the text, 0 is padding
    source = SourceBatch(tokens, tokens != 0)
    assert encoder(source).segments.tolist() == [[0, 0, 1, 1, 1, 2, 2, 2], [0] * 8]
    assert TextEncoder(nn.Embedding(9, FEATURES), RecurrentEncoder(FEATURES, DIM))(source).segments is None
