"""The video encoder and the frontends trained from scratch."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from encoders.base import Encoder, IdentityFrontend, SourceBatch
from encoders.image import SmallResNet
from encoders.recurrent import RecurrentEncoder
from encoders.video import Conv3dFrontend, FrameCNN, TwoStream, VideoEncoder


def clips(lengths: list[int], height: int = 16, width: int = 16) -> SourceBatch:
    """Random videos with these numbers of frames; padding holds random pixels too."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return SourceBatch(torch.randint(0, 256, (*mask.shape, 3, height, width), dtype=torch.uint8), mask)


def alone(source: SourceBatch, row: int) -> SourceBatch:
    length = int(source.mask[row].sum())
    return SourceBatch(source.values[row : row + 1, :length], source.mask[row : row + 1, :length])


FRONTENDS = {
    "mean of regions": lambda: FrameCNN(SmallResNet((8, 8))),
    "all regions": lambda: FrameCNN(SmallResNet((8, 8)), num_regions=16),
    "3-D": lambda: Conv3dFrontend((8, 16), (16, 16)),
}


# ── Encoder ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("frame_aggregation", "is_recurrent"),
    [("mean", False), ("frames", False), ("frames", True)],
    ids=["mean", "frames", "sequence"],
)
@pytest.mark.parametrize("frontend", FRONTENDS)
def test_padding_changes_nothing(frontend, frame_aggregation, is_recurrent):
    encoder: Encoder = VideoEncoder(
        FRONTENDS[frontend](),
        12,
        frame_aggregation=frame_aggregation,
        sequence_encoder=RecurrentEncoder(12, 12) if is_recurrent else None,
    ).eval()
    source = clips([5, 2, 3])
    memory = encoder(source)
    assert memory.states.shape[2] == encoder.dim == memory.summary.shape[1]
    assert memory.mask.sum(dim=1).tolist() == ([1, 1, 1] if frame_aggregation == "mean" else [5, 2, 3])
    for row, length in enumerate([5, 2, 3]):
        one = encoder(alone(source, row))
        num_states = 1 if frame_aggregation == "mean" else length
        assert_close(one.states[0], memory.states[row, :num_states], rtol=1e-4, atol=1e-5)
        assert_close(one.summary[0], memory.summary[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "frontend",
    [
        Conv3dFrontend((8, 16), (16, 16)),
        FrameCNN(SmallResNet((8, 16)), num_regions=16),
        TwoStream(SmallResNet((8, 16)), SmallResNet((8, 8), in_channels=1), num_regions=16, window_frames=2),
    ],
    ids=["conv3d", "frames", "two_stream"],
)
def test_regions_have_positions_in_space_and_time_and_padding_changes_nothing(frontend):
    encoder = VideoEncoder(frontend, 12, frame_aggregation="regions", num_regions=frontend.num_regions).eval()
    source = clips([5, 2, 3])
    memory = encoder(source)
    lengths = frontend.output_lengths(torch.tensor([5, 2, 3])).tolist()
    assert memory.mask.sum(dim=1).tolist() == [16 * length for length in lengths]
    assert memory.segment_ids[0].tolist() == [frame for frame in range(lengths[0]) for _ in range(16)]
    for row, length in enumerate(lengths):
        one = encoder(alone(source, row))
        assert_close(one.states[0], memory.states[row, : 16 * length], rtol=1e-4, atol=1e-5)
    gray = SourceBatch(torch.full((1, 4, 3, 16, 16), 128, dtype=torch.uint8), torch.ones(1, 4, dtype=torch.bool))
    positions = encoder.region_positions(encoder(gray).mask)[0]
    assert len({tuple(position.tolist()) for position in positions}) == len(positions)


def test_the_mean_is_the_mean_of_the_frames():
    encoder = VideoEncoder(IdentityFrontend(5), 12, frame_aggregation="mean").eval()
    frames = VideoEncoder(IdentityFrontend(5), 12, frame_aggregation="frames").eval()
    frames.load_state_dict(encoder.state_dict())
    source = SourceBatch(torch.randn(2, 4, 5), torch.tensor([[True] * 4, [True, True, False, False]]))
    mean, states = encoder(source), frames(source).states
    assert_close(mean.states[0, 0], states[0].mean(dim=0))
    assert_close(mean.summary[1], states[1, :2].mean(dim=0))


@pytest.mark.parametrize("frame_aggregation", ["mean", "regions"])
def test_a_sequence_encoder_is_refused_except_for_frames(frame_aggregation):
    with pytest.raises(ValueError, match=f"frame_aggregation is '{frame_aggregation}' with a sequence_encoder"):
        VideoEncoder(
            IdentityFrontend(5), 12, frame_aggregation=frame_aggregation, sequence_encoder=RecurrentEncoder(12, 12)
        )


# ── Frontends ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_region_of_3d_convolutions_depends_on_the_pixels_at_its_position():
    frontend = Conv3dFrontend((8,), (16, 16)).eval()
    source = clips([2])
    states, _ = frontend(source)
    changed = source.values.clone()
    changed[0, 0, :, :2, :2] = 255 - changed[0, 0, :, :2, :2]
    states, other = (each.unflatten(2, (8, 8, 8)) for each in (states, frontend(SourceBatch(changed, source.mask))[0]))
    far = (states - other)[0, 0, 4:, 4:].abs().max()
    near = (states - other)[0, 0, 0, 0].abs().max()
    assert near > 10 * far  # distant regions change only through the variance of the video


@pytest.mark.parametrize(
    "frontend, activation",
    [
        (FrameCNN(SmallResNet((8, 8)), num_regions=16), nn.SiLU),
        (TwoStream(SmallResNet((8,)), SmallResNet((8,), in_channels=1), num_regions=64, window_frames=2), nn.SiLU),
        (Conv3dFrontend((8, 8), (16, 16)), nn.ReLU),
        (FrameCNN(IdentityFrontend(8)), nn.ReLU),
        (IdentityFrontend(8), nn.ReLU),
    ],
    ids=["frames", "two streams", "3-D convolutions", "frames of a pretrained network", "features"],
)
def test_projected_states_go_through_the_activation_of_the_frontend_or_are_normalized(frontend, activation):
    assert type(VideoEncoder(frontend, 12).activation) is activation
    assert type(VideoEncoder(frontend, 12, normalize=True).activation) is nn.LayerNorm


def test_3d_convolutions_ignore_what_does_not_move():
    frontend = Conv3dFrontend((8,), (16, 16)).eval()
    source = clips([4])
    darker = SourceBatch(source.values // 4 + 7, source.mask)
    lighter = SourceBatch(darker.values + torch.arange(16, dtype=torch.uint8), source.mask)
    assert_close(frontend(lighter)[0], frontend(darker)[0], rtol=1e-4, atol=1e-4)
    static = SourceBatch(source.values[:, :1].expand(-1, 4, -1, -1, -1), source.mask)
    black = SourceBatch(torch.zeros_like(source.values), source.mask)
    assert_close(frontend(static)[0], frontend(black)[0])


def test_3d_convolutions_get_pixels_of_variance_1_over_each_video_as_a_whole():
    frontend = Conv3dFrontend((8,), (16, 16))
    frontend.layers = nn.ModuleList()  # so that the states are the pixels themselves
    source = clips([6, 3])
    source.values[:, ::2] //= 4  # the frames of a video differ in contrast
    states, _ = frontend(source)
    for row, length in enumerate([6, 3]):
        pixels = source.values[row, :length].float()
        centered = pixels - pixels.mean(dim=0)
        expected = centered / centered.std(correction=0)
        assert_close(states[row, :length], expected.permute(0, 2, 3, 1).flatten(1), rtol=1e-4, atol=1e-5)
    assert not states[1, 3:].any()


def test_two_streams_get_the_first_frame_of_a_window_and_its_changes():
    frontend = TwoStream(
        SmallResNet((8, 8)), SmallResNet((8, 16), in_channels=2), num_regions=16, window_frames=3
    ).eval()
    source = clips([5])
    states, mask = frontend(source)
    assert mask.tolist() == [[True, True]]
    assert frontend.output_lengths(torch.tensor([5, 3, 1])).tolist() == [2, 1, 1]
    spatial, temporal = states.unflatten(2, (16, 24)).split([8, 16], dim=3)
    expected, _ = frontend.spatial(SourceBatch(source.values[0, [0, 3]], torch.ones(2, 1, dtype=torch.bool)))
    assert_close(spatial[0], expected)
    gray = source.values[0].float().mean(dim=1) / 255
    changes = [[gray[1] - gray[0], gray[2] - gray[1]], [gray[4] - gray[3], torch.zeros_like(gray[0])]]
    expected = frontend.temporal.forward_features(torch.stack([torch.stack(pair) for pair in changes]))
    assert_close(temporal[0], expected.flatten(2).mT)


def test_a_frame_is_encoded_as_an_image_is():
    network = SmallResNet((8, 8)).eval()
    source = clips([3])
    states, _ = FrameCNN(network).eval()(source)
    images = SourceBatch(source.values[0], torch.ones(3, 1, dtype=torch.bool))
    assert_close(states[0], network(images)[0].mean(dim=1))


def test_padding_is_never_computed(monkeypatch):
    num_images = []
    network = SmallResNet((8, 8))
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda source: (num_images.append(len(source.values)), forward(source))[1])
    FrameCNN(network)(clips([5, 2, 3]))
    assert num_images == [10]


def test_3d_convolutions_depend_on_the_neighboring_frames_and_no_others():
    frontend = Conv3dFrontend((8,), (16, 16)).eval()
    source = clips([6])
    states, _ = frontend(source)
    changed = source.values.clone()
    changed[0, :2] = changed[0, :2].flip(0)  # the mean over the video stays the same
    other, _ = frontend(SourceBatch(changed, source.mask))
    differ = ((states - other).abs() > 1e-3).any(dim=-1)[0]
    assert differ.tolist() == [True, True, True, False, False, False]


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match=r"size is 18 × 16 with 2 channels; allowed are multiples of 4"):
        Conv3dFrontend((8, 8), (18, 16))
