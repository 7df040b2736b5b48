"""The speech encoder: padding changes nothing, lengths are told beforehand, pairs are joined as the plain loop does."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from encoders.base import Frontend, IdentityFrontend, SourceBatch
from encoders.recurrent import CELLS, RecurrentEncoder
from encoders.speech import ConvSubsampling, SpeechEncoder, stack_pairs

FEATURES, HIDDEN = 7, 4
LENGTHS = [13, 1, 8, 5, 2]
RUBBISH = 100.0

every_cell = pytest.mark.parametrize("cell", CELLS)
every_pyramid = pytest.mark.parametrize("pyramid", [0, 1, 2])
every_front = pytest.mark.parametrize("num_layers", [0, 1, 3], ids=["frames", "one", "three"])


def make_front(num_layers: int) -> Frontend:
    return ConvSubsampling(FEATURES, 3, num_layers) if num_layers else IdentityFrontend(FEATURES)


def build(frontend: Frontend, *, num_layers: int, pyramid: int = 0, dropout: float = 0.0, **choices) -> SpeechEncoder:
    """With recurrent readers."""

    def sequence_encoder(input_dim: int, layers: int, top: bool) -> RecurrentEncoder:
        return RecurrentEncoder(input_dim, HIDDEN, num_layers=layers, dropout=dropout, **choices)

    return SpeechEncoder(frontend, sequence_encoder, num_layers=num_layers, pyramid=pyramid, dropout=dropout)


@pytest.fixture
def source() -> SourceBatch:
    """Utterances of LENGTHS; where there is padding stands rubbish."""
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    values = torch.randn(*mask.shape, FEATURES)
    return SourceBatch(torch.where(mask[..., None], values, RUBBISH * values), mask)


def alone(source: SourceBatch, row: int) -> SourceBatch:
    return SourceBatch(source.values[row : row + 1, : LENGTHS[row]], source.mask[row : row + 1, : LENGTHS[row]])


@every_cell
@every_pyramid
@every_front
def test_padding_changes_no_real_state_and_no_summary(cell, pyramid, num_layers, source):
    encoder = build(make_front(num_layers), cell=cell, num_layers=3, pyramid=pyramid).eval()
    together = encoder(source)
    for row in range(len(LENGTHS)):
        single = encoder(alone(source, row))
        assert single.mask.all()
        assert together.mask[row].sum() == single.mask.size(1)
        assert_close(single.states[0], together.states[row, : single.mask.size(1)])
        assert_close(single.summary[0], together.summary[row])


@every_pyramid
@every_front
def test_lengths_agree_with_the_mask(pyramid, num_layers, source):
    encoder = build(make_front(num_layers), num_layers=3, pyramid=pyramid)
    memory = encoder(source)
    assert encoder.output_lengths(torch.tensor(LENGTHS)).tolist() == memory.mask.sum(dim=1).tolist()
    assert memory.states.shape == (*memory.mask.shape, encoder.dim)
    assert memory.summary.shape == (len(LENGTHS), encoder.dim)
    assert (memory.mask.int().diff(dim=1) <= 0).all()  # real before padding


@every_pyramid
@every_front
def test_no_gradient_reaches_padding(pyramid, num_layers, source):
    encoder = build(make_front(num_layers), num_layers=3, pyramid=pyramid)
    values = source.values.requires_grad_()
    memory = encoder(SourceBatch(values, source.mask))
    (memory.states[memory.mask].sum() + memory.summary.sum()).backward()
    assert values.grad is not None
    assert not values.grad[~source.mask].any()
    assert values.grad[source.mask].any()


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_each_convolution_halves_time_rounded_up_and_its_width_is_told(num_layers, source):
    frontend = ConvSubsampling(FEATURES, 3, num_layers)
    states, mask = frontend(source)
    expected = LENGTHS
    for _ in range(num_layers):
        expected = [-(-length // 2) for length in expected]
    assert mask.sum(dim=1).tolist() == expected
    assert states.size(-1) == frontend.dim


def test_pairs_equal_the_plain_loop(source):
    pairs, mask = stack_pairs(source.values, source.mask)
    for row, length in enumerate(LENGTHS):
        frames = [*source.values[row, :length], torch.zeros(FEATURES)]  # whoever has no partner gets zeros
        expected = [torch.cat([frames[at], frames[at + 1]]) for at in range(0, length, 2)]
        assert mask[row].sum() == len(expected)
        assert torch.equal(pairs[row, : len(expected)], torch.stack(expected))
        assert not pairs[row, len(expected) :].any()


def test_a_state_of_the_pyramid_does_not_depend_on_what_comes_after_its_pair():
    """In one direction, so that the past is all that a state can know."""
    encoder = build(IdentityFrontend(FEATURES), num_layers=2, pyramid=1, bidirectional=False)
    values = torch.randn(1, 6, FEATURES).requires_grad_()
    memory = encoder(SourceBatch(values, torch.ones(1, 6, dtype=torch.bool)))
    gradient: Tensor = torch.autograd.grad(memory.states[0, 1].sum(), values)[0][0]
    assert gradient[:4].any(dim=1).all()
    assert not gradient[4:].any()


def test_what_the_front_returned_before_is_not_read_by_it_again(source):
    encoder = build(ConvSubsampling(FEATURES, 3, 2), num_layers=2, pyramid=1).eval()
    precomputed = encoder(SourceBatch(*encoder.frontend(source), precomputed=True))
    fresh = encoder(source)
    assert torch.equal(precomputed.mask, fresh.mask)
    assert torch.equal(precomputed.states, fresh.states)
    assert torch.equal(precomputed.summary, fresh.summary)


def test_dropout_acts_in_training_alone(source):
    encoder = build(IdentityFrontend(FEATURES), num_layers=2, pyramid=1, dropout=0.5)
    assert not torch.equal(encoder(source).summary, encoder(source).summary)
    encoder.eval()
    assert torch.equal(encoder(source).summary, encoder(source).summary)


@pytest.mark.parametrize("pyramid", [-1, 2, 3])
def test_a_pyramid_needs_a_layer_below_each_step(pyramid):
    with pytest.raises(ValueError, match=f"pyramid is {pyramid} of 2 layers; allowed is 0 to 1"):
        build(IdentityFrontend(FEATURES), num_layers=2, pyramid=pyramid)
