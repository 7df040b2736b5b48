"""The speech encoder: padding, output lengths, and the pairing of states."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from encoders.base import Frontend, IdentityFrontend, SourceBatch
from encoders.recurrent import CELLS, RecurrentEncoder
from encoders.speech import ConvSubsampling, SpeechEncoder, stack_pairs

NUM_FEATURES, HIDDEN_DIM = 7, 4
LENGTHS = [13, 1, 8, 5, 2]
PADDING_SCALE = 100.0

every_cell = pytest.mark.parametrize("cell", CELLS)
every_pyramid = pytest.mark.parametrize("pyramid_layers", [0, 1, 2])
every_frontend = pytest.mark.parametrize("num_conv_layers", [0, 1, 3], ids=["frames", "one", "three"])


def build_frontend(num_conv_layers: int) -> Frontend:
    return ConvSubsampling(NUM_FEATURES, 3, num_conv_layers) if num_conv_layers else IdentityFrontend(NUM_FEATURES)


def build(frontend: Frontend, *, num_layers: int, pyramid_layers: int = 0, dropout: float = 0.0, **options):
    """Build a speech encoder of recurrent layers."""

    def build_layer(input_dim: int, layers: int, is_top: bool) -> RecurrentEncoder:
        return RecurrentEncoder(input_dim, HIDDEN_DIM, num_layers=layers, dropout=dropout, **options)

    return SpeechEncoder(frontend, build_layer, num_layers=num_layers, pyramid_layers=pyramid_layers, dropout=dropout)


@pytest.fixture
def source() -> SourceBatch:
    """Utterances of LENGTHS; padding holds large random values."""
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    values = torch.randn(*mask.shape, NUM_FEATURES)
    return SourceBatch(torch.where(mask[..., None], values, PADDING_SCALE * values), mask)


def alone(source: SourceBatch, row: int) -> SourceBatch:
    return SourceBatch(source.values[row : row + 1, : LENGTHS[row]], source.mask[row : row + 1, : LENGTHS[row]])


@every_cell
@every_pyramid
@every_frontend
def test_padding_changes_no_real_state_and_no_summary(cell, pyramid_layers, num_conv_layers, source):
    frontend = build_frontend(num_conv_layers)
    encoder = build(frontend, cell=cell, num_layers=3, pyramid_layers=pyramid_layers).eval()
    together = encoder(source)
    for row in range(len(LENGTHS)):
        single = encoder(alone(source, row))
        assert single.mask.all()
        assert together.mask[row].sum() == single.mask.size(1)
        assert_close(single.states[0], together.states[row, : single.mask.size(1)])
        assert_close(single.summary[0], together.summary[row])


@every_pyramid
@every_frontend
def test_output_lengths_agree_with_the_mask(pyramid_layers, num_conv_layers, source):
    encoder = build(build_frontend(num_conv_layers), num_layers=3, pyramid_layers=pyramid_layers)
    memory = encoder(source)
    assert encoder.output_lengths(torch.tensor(LENGTHS)).tolist() == memory.mask.sum(dim=1).tolist()
    assert memory.states.shape == (*memory.mask.shape, encoder.dim)
    assert memory.summary.shape == (len(LENGTHS), encoder.dim)
    assert (memory.mask.int().diff(dim=1) <= 0).all()  # real before padding


@every_pyramid
@every_frontend
def test_no_gradient_reaches_padding(pyramid_layers, num_conv_layers, source):
    encoder = build(build_frontend(num_conv_layers), num_layers=3, pyramid_layers=pyramid_layers)
    values = source.values.requires_grad_()
    memory = encoder(SourceBatch(values, source.mask))
    (memory.states[memory.mask].sum() + memory.summary.sum()).backward()
    assert values.grad is not None
    assert not values.grad[~source.mask].any()
    assert values.grad[source.mask].any()


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_each_convolution_halves_time_rounded_up_and_dim_is_the_width_of_the_states(num_layers, source):
    frontend = ConvSubsampling(NUM_FEATURES, 3, num_layers)
    states, mask = frontend(source)
    expected = LENGTHS
    for _ in range(num_layers):
        expected = [-(-length // 2) for length in expected]
    assert mask.sum(dim=1).tolist() == expected
    assert states.size(-1) == frontend.dim


def test_pairs_equal_the_plain_loop(source):
    pairs, mask = stack_pairs(source.values, source.mask)
    for row, length in enumerate(LENGTHS):
        frames = [*source.values[row, :length], torch.zeros(NUM_FEATURES)]  # the partner of the last of an odd number
        expected = [torch.cat([frames[index], frames[index + 1]]) for index in range(0, length, 2)]
        assert mask[row].sum() == len(expected)
        assert torch.equal(pairs[row, : len(expected)], torch.stack(expected))
        assert not pairs[row, len(expected) :].any()


def test_a_state_of_the_pyramid_does_not_depend_on_frames_after_its_pair():
    """With one direction, so that a state depends on earlier frames only."""
    encoder = build(IdentityFrontend(NUM_FEATURES), num_layers=2, pyramid_layers=1, bidirectional=False)
    values = torch.randn(1, 6, NUM_FEATURES).requires_grad_()
    memory = encoder(SourceBatch(values, torch.ones(1, 6, dtype=torch.bool)))
    gradient: Tensor = torch.autograd.grad(memory.states[0, 1].sum(), values)[0][0]
    assert gradient[:4].any(dim=1).all()
    assert not gradient[4:].any()


def test_precomputed_frontend_states_give_the_same_memory(source):
    encoder = build(ConvSubsampling(NUM_FEATURES, 3, 2), num_layers=2, pyramid_layers=1).eval()
    precomputed = encoder(SourceBatch(*encoder.frontend(source), precomputed=True))
    computed = encoder(source)
    assert torch.equal(precomputed.mask, computed.mask)
    assert torch.equal(precomputed.states, computed.states)
    assert torch.equal(precomputed.summary, computed.summary)


def test_dropout_is_for_training_only(source):
    encoder = build(IdentityFrontend(NUM_FEATURES), num_layers=2, pyramid_layers=1, dropout=0.5)
    assert not torch.equal(encoder(source).summary, encoder(source).summary)
    encoder.eval()
    assert torch.equal(encoder(source).summary, encoder(source).summary)


@pytest.mark.parametrize("pyramid_layers", [-1, 2, 3])
def test_a_pyramid_needs_a_layer_below_each_pairing(pyramid_layers):
    with pytest.raises(ValueError, match=f"pyramid_layers is {pyramid_layers} with 2 layers; allowed is 0 to 1"):
        build(IdentityFrontend(NUM_FEATURES), num_layers=2, pyramid_layers=pyramid_layers)
