"""The image encoder and the frontend trained from scratch."""

import torch
from torch.testing import assert_close

from encoders.base import IdentityFrontend, SourceBatch
from encoders.image import ImageEncoder, SmallResNet
from encoders.recurrent import RecurrentEncoder


def images(count: int, side: int = 32) -> SourceBatch:
    pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    return SourceBatch(pixels, torch.ones(count, 1, dtype=torch.bool))


def test_an_image_becomes_the_same_grid_of_states_alone_and_in_a_batch():
    encoder = ImageEncoder(SmallResNet((8, 16, 24)), 12, num_regions=16).eval()
    source = images(3)
    memory = encoder(source)
    assert memory.states.shape == (3, 16, 12)
    assert memory.mask.all()
    assert memory.summary.shape == (3, 12)
    one = encoder(SourceBatch(source.values[1:2], source.mask[1:2]))
    assert_close(one.states[0], memory.states[1], rtol=1e-4, atol=1e-5)


def test_equal_regions_differ_by_their_position():
    encoder = ImageEncoder(SmallResNet((8, 8)), 12, num_regions=64).eval()
    gray = SourceBatch(torch.full((1, 3, 32, 32), 128, dtype=torch.uint8), torch.ones(1, 1, dtype=torch.bool))
    center = encoder(gray).states[0].unflatten(0, (8, 8))[3:5, 3:5].flatten(0, 1)  # far from the border
    assert (center[0] - center[3]).abs().max() > 1e-3


def test_the_segments_of_a_square_image_are_its_rows():
    assert (
        ImageEncoder(SmallResNet((8, 8, 8)), 12, num_regions=16)(images(2)).segment_ids.tolist()
        == [[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]] * 2
    )


def test_padding_of_region_features_changes_nothing():
    values = torch.randn(2, 4, 5)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    for sequence_encoder in (None, RecurrentEncoder(12, 6)):
        encoder = ImageEncoder(IdentityFrontend(5), 12, num_regions=None, sequence_encoder=sequence_encoder).eval()
        whole, alone = encoder(SourceBatch(values, mask)), encoder(SourceBatch(values[1:, :2], mask[1:, :2]))
        assert_close(whole.summary[1], alone.summary[0])
        assert_close(whole.states[1, :2], alone.states[0])


def test_brightness_and_contrast_of_an_image_change_nothing():
    network, dark = SmallResNet((8, 16)).eval(), images(2)
    dark.values.div_(4, rounding_mode="floor")
    bright = SourceBatch(dark.values * 3 + 60, dark.mask)
    assert_close(network(bright)[0], network(dark)[0], rtol=1e-4, atol=1e-5)


def test_an_image_of_one_color_has_finite_states_and_gradients():
    network = SmallResNet((8, 16))
    states, _ = network(SourceBatch(torch.full((1, 3, 32, 32), 7, dtype=torch.uint8), torch.ones(1, 1).bool()))
    states.square().sum().backward()
    assert states.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())
