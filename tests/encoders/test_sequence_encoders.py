"""Encoders of sequences of vectors, and pooling."""

import math
from typing import get_args

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from attention.config import PositionName
from attention.positions import MAX_POSITIONS
from encoders.base import SequenceEncoder
from encoders.build import build_sequence_encoder
from encoders.config import ConvS2SEncoderConfig, RecurrentEncoderConfig, TransformerEncoderConfig
from encoders.convolutional import ConvS2SEncoder
from encoders.pooling import AttentivePooling, MeanPooling

NUM_FEATURES, DIM = 4, 6
LENGTHS = [5, 2, 3]
CONFIGS = {
    "recurrent": lambda pooling: RecurrentEncoderConfig(hidden_dim=DIM, num_layers=2, pooling=pooling),
    "transformer": lambda pooling: TransformerEncoderConfig(hidden_dim=DIM, num_layers=2, num_heads=2, pooling=pooling),
    "convolutional": lambda pooling: ConvS2SEncoderConfig(hidden_dim=DIM, num_layers=2, pooling=pooling),
}

every_kind = pytest.mark.parametrize("kind", CONFIGS)
every_pooling = pytest.mark.parametrize("pooling", ["default", "attentive"])


def build(kind: str, pooling: str) -> SequenceEncoder:
    return build_sequence_encoder(NUM_FEATURES, CONFIGS[kind](pooling))


@every_kind
@every_pooling
def test_padding_changes_no_real_state_and_no_summary(kind, pooling, make_memory, alone):
    encoder = build(kind, pooling).eval()
    batch = make_memory(LENGTHS, NUM_FEATURES)
    together = encoder(batch.states, batch.mask)
    assert together.states.shape == (3, 5, encoder.dim)
    assert together.summary.shape == (3, encoder.dim)
    for row, length in enumerate(LENGTHS):
        inputs = alone(batch, row)
        single = encoder(inputs.states, inputs.mask)
        assert_close(single.states[0], together.states[row, :length])
        assert_close(single.summary[0], together.summary[row])


@every_kind
@every_pooling
def test_gradients_reach_every_parameter(kind, pooling, make_memory):
    encoder, batch = build(kind, pooling), make_memory(LENGTHS, NUM_FEATURES)
    memory = encoder(batch.states.clamp(-3, 3), batch.mask)
    (memory.states[batch.mask].square().sum() + (memory.summary**3).sum()).backward()
    without_gradient = [
        name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()
    ]
    assert not without_gradient


@torch.no_grad()
@pytest.mark.parametrize(
    "config",
    [
        ConvS2SEncoderConfig(hidden_dim=DIM),
        *(
            TransformerEncoderConfig(hidden_dim=DIM, num_heads=1, positions=positions)
            for positions in get_args(PositionName)
        ),
    ],
    ids=["convolutional", *get_args(PositionName)],
)
def test_sources_longer_than_the_learned_positions_are_encoded(config):
    encoder = build_sequence_encoder(NUM_FEATURES, config).eval()
    states = torch.randn(1, MAX_POSITIONS + 3, NUM_FEATURES)
    memory = encoder(states, torch.ones(states.shape[:2], dtype=torch.bool))
    assert memory.states.shape == (1, MAX_POSITIONS + 3, DIM)
    assert memory.states.isfinite().all()


@torch.no_grad()
def test_a_convolution_is_the_published_gated_one(make_memory):
    encoder, batch = ConvS2SEncoder(NUM_FEATURES, DIM, num_layers=1, dropout=0.0), make_memory([4], NUM_FEATURES)
    layer = encoder.layers[0]
    inputs = encoder.positions(encoder.input_proj(batch.states))[0]
    padded = functional.pad(inputs, (0, 0, 1, 1))
    for position, state in enumerate(encoder(batch.states, batch.mask).states[0]):
        taps = (layer.weight[:, :, tap] @ padded[position + tap] for tap in range(3))
        content, gate = (sum(taps) + layer.bias).chunk(2)
        assert_close(state, (inputs[position] + content * torch.sigmoid(gate)) * math.sqrt(0.5))


def test_a_state_depends_on_as_many_neighbors_as_there_are_convolutions():
    encoder = ConvS2SEncoder(NUM_FEATURES, DIM, num_layers=2, dropout=0.0)
    states = torch.randn(1, 9, NUM_FEATURES, requires_grad=True)
    memory = encoder(states, torch.ones(1, 9, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(memory.states[0, 4].sum(), states)
    assert gradient[0].any(dim=-1).tolist() == [False, False, True, True, True, True, True, False, False]


@torch.no_grad()
def test_attentive_pooling_equals_the_plain_loop_over_its_formula(make_memory):
    pooling, batch = AttentivePooling(NUM_FEATURES).double(), make_memory(LENGTHS, NUM_FEATURES, torch.float64)
    pooled = pooling(batch.states, batch.mask)
    for row, length in enumerate(LENGTHS):
        scores = [
            math.exp(float(pooling.v.weight[0] @ torch.tanh(pooling.proj(state))))
            for state in batch.states[row, :length]
        ]
        terms = (score / sum(scores) * state for score, state in zip(scores, batch.states[row], strict=False))
        assert_close(pooled[row], sum(terms), rtol=1e-6, atol=1e-9)


def test_the_mean_is_over_real_states_only_and_zero_without_any(make_memory):
    batch = make_memory(LENGTHS, NUM_FEATURES)
    mask = batch.mask.clone()
    mask[1] = False
    mean = MeanPooling()(batch.states, mask)
    assert_close(mean[0], batch.states[0].mean(dim=0))
    assert_close(mean[2], batch.states[2, :3].mean(dim=0), rtol=1e-4, atol=1e-4)
    assert not mean[1].any()
