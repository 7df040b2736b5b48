"""Video encoders: a state a frame, whatever is padded, from scratch and pretrained."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from transformers import (
    ResNetConfig,
    ResNetModel,
    VideoMAEConfig,
    VideoMAEImageProcessor,
    VideoMAEModel,
    ViTImageProcessor,
)

from encoders.base import Encoder, IdentityFrontend, SourceBatch
from encoders.image import SmallResNet
from encoders.pretrained.image import load_image_model
from encoders.pretrained.video import (
    CLIP,
    PretrainedVideo,
    is_video_model,
    load_video_model,
    video_model_from_config,
)
from encoders.recurrent import RecurrentEncoder
from encoders.video import Conv3dFrontend, FrameCNN, TwoStream, VideoEncoder
from tasks.common.data.precompute import fingerprint

SIZES = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
READINGS = ("mean", "frames", "sequence")


def clips(lengths: list[int], height: int = 16, width: int = 16) -> SourceBatch:
    """Random videos of so many frames; what is padding holds pixels too."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return SourceBatch(torch.randint(0, 256, (*mask.shape, 3, height, width), dtype=torch.uint8), mask)


def alone(source: SourceBatch, row: int) -> SourceBatch:
    length = int(source.mask[row].sum())
    return SourceBatch(source.values[row : row + 1, :length], source.mask[row : row + 1, :length])


FRONTS = {
    "pictures' mean": lambda: FrameCNN(SmallResNet((8, 8))),
    "pictures' regions": lambda: FrameCNN(SmallResNet((8, 8)), regions=16),
    "3-D": lambda: Conv3dFrontend((8, 16), (16, 16)),
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("front", FRONTS)
def test_padding_changes_nothing(frontend, frame_aggregation):
    encoder: Encoder = VideoEncoder(
        FRONTS[frontend](), 12, frame_aggregation=frame_aggregation, sequence_encoder=RecurrentEncoder(12, 12)
    ).eval()
    source = clips([5, 2, 3])
    memory = encoder(source)
    assert memory.states.shape[2] == encoder.dim == memory.summary.shape[1]
    assert memory.mask.sum(dim=1).tolist() == ([1, 1, 1] if frame_aggregation == "mean" else [5, 2, 3])
    for row, length in enumerate([5, 2, 3]):
        one = encoder(alone(source, row))
        kept = 1 if frame_aggregation == "mean" else length
        assert_close(one.states[0], memory.states[row, :kept], rtol=1e-4, atol=1e-5)
        assert_close(one.summary[0], memory.summary[row], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "front",
    [
        Conv3dFrontend((8, 16), (16, 16)),
        FrameCNN(SmallResNet((8, 16)), regions=16),
        TwoStream(SmallResNet((8, 16)), SmallResNet((8, 8), colors=1), regions=16, window=2),
    ],
    ids=["spatiotemporal", "frames", "two_stream"],
)
def test_regions_know_their_place_and_time_whatever_is_padded(frontend):
    encoder = VideoEncoder(frontend, 12, frame_aggregation="regions", regions=frontend.regions).eval()
    source = clips([5, 2, 3])
    memory = encoder(source)
    lengths = frontend.output_lengths(torch.tensor([5, 2, 3])).tolist()
    assert memory.mask.sum(dim=1).tolist() == [16 * length for length in lengths]
    for row, length in enumerate(lengths):
        one = encoder(alone(source, row))
        assert_close(one.states[0], memory.states[row, : 16 * length], rtol=1e-4, atol=1e-5)
    spatial = SourceBatch(torch.full((1, 4, 3, 16, 16), 128, dtype=torch.uint8), torch.ones(1, 4, dtype=torch.bool))
    regions = encoder.whereabouts(encoder(spatial).mask)[0]
    assert len({tuple(region.tolist()) for region in regions}) == len(regions)


def test_a_region_holds_what_is_at_its_place():
    frontend = Conv3dFrontend((8,), (16, 16)).eval()
    source = clips([2])
    states, _ = frontend(source)
    changed = source.values.clone()
    changed[0, 0, :, :2, :2] = 255 - changed[0, 0, :, :2, :2]
    states, other = (each.unflatten(2, (8, 8, 8)) for each in (states, frontend(SourceBatch(changed, source.mask))[0]))
    far = (states - other)[0, 0, 4:, 4:].abs().max()
    near = (states - other)[0, 0, 0, 0].abs().max()
    assert near > 10 * far  # what is far only feels it through the video's variance


def test_three_dimensional_convolutions_see_only_what_moves():
    frontend = Conv3dFrontend((8,), (16, 16)).eval()
    source = clips([4])
    darker = SourceBatch(source.values // 4 + 7, source.mask)
    lighter = SourceBatch(darker.values + torch.arange(16, dtype=torch.uint8), source.mask)
    assert_close(frontend(lighter)[0], frontend(darker)[0], rtol=1e-4, atol=1e-4)
    spatial = SourceBatch(source.values[:, :1].expand(-1, 4, -1, -1, -1), source.mask)
    nothing = SourceBatch(torch.zeros_like(source.values), source.mask)
    assert_close(frontend(spatial)[0], frontend(nothing)[0])


def test_two_streams_see_the_first_frame_of_a_window_and_how_it_goes_on():
    frontend = TwoStream(SmallResNet((8, 8)), SmallResNet((8, 16), colors=2), regions=16, window=3).eval()
    source = clips([5])
    states, mask = frontend(source)
    assert mask.tolist() == [[True, True]]
    assert frontend.output_lengths(torch.tensor([5, 3, 1])).tolist() == [2, 1, 1]
    spatial, temporal = states.unflatten(2, (16, 24)).split([8, 16], dim=3)
    seen, _ = frontend.spatial(SourceBatch(source.values[0, [0, 3]], torch.ones(2, 1, dtype=torch.bool)))
    assert_close(spatial[0], seen)
    grey = source.values[0].float().mean(dim=1) / 255
    changes = [[grey[1] - grey[0], grey[2] - grey[1]], [grey[4] - grey[3], torch.zeros_like(grey[0])]]
    expected = frontend.temporal.forward_features(torch.stack([torch.stack(pair) for pair in changes]))
    assert_close(temporal[0], expected.flatten(2).mT)


def test_a_frame_of_its_own_is_seen_as_a_picture_is():
    network = SmallResNet((8, 8)).eval()
    source = clips([3])
    states, _ = FrameCNN(network).eval()(source)
    pictures = SourceBatch(source.values[0], torch.ones(3, 1, dtype=torch.bool))
    assert_close(states[0], network(pictures)[0].mean(dim=1))


def test_padding_is_never_computed(monkeypatch):
    seen = []
    network = SmallResNet((8, 8))
    plain = network.forward
    monkeypatch.setattr(network, "forward", lambda source: (seen.append(len(source.values)), plain(source))[1])
    FrameCNN(network)(clips([5, 2, 3]))
    assert seen == [10]


def test_3d_convolutions_see_the_neighbouring_frames_and_no_others():
    frontend = Conv3dFrontend((8,), (16, 16)).eval()
    source = clips([6])
    states, _ = frontend(source)
    changed = source.values.clone()
    changed[0, :2] = changed[0, :2].reverse_padded(0)  # what all frames are measured from stays as it was
    other, _ = frontend(SourceBatch(changed, source.mask))
    differ = ((states - other).abs() > 1e-3).any(dim=-1)[0]
    assert differ.tolist() == [True, True, True, False, False, False]


def test_the_mean_is_the_mean_of_the_frames():
    encoder = VideoEncoder(IdentityFrontend(5), 12, frame_aggregation="mean").eval()
    frames = VideoEncoder(IdentityFrontend(5), 12, frame_aggregation="frames").eval()
    frames.load_state_dict(encoder.state_dict())
    source = SourceBatch(torch.randn(2, 4, 5), torch.tensor([[True] * 4, [True, True, False, False]]))
    single, states = encoder(source), frames(source).states
    assert_close(single.states[0, 0], states[0].mean(dim=0))
    assert_close(single.summary[1], states[1, :2].mean(dim=0))


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match=r"18 × 16; allowed are multiples of 4"):
        Conv3dFrontend((8, 8), (18, 16))


@pytest.fixture
def videomae(tmp_path) -> str:
    torch.manual_seed(1)
    VideoMAEModel(VideoMAEConfig(**SIZES, image_size=32, patch_size=16, num_frames=4)).save_pretrained(tmp_path / "mae")
    size = {"shortest_edge": 32}
    mean, std = [0.4] * 3, [0.2] * 3
    VideoMAEImageProcessor(
        size=size, crop_size={"height": 32, "width": 32}, image_mean=mean, image_std=std
    ).save_pretrained(tmp_path / "mae")
    return str(tmp_path / "mae")


def torchvision_model(name: str) -> PretrainedVideo:
    extractor = {"size": 32, "mean": [0.4] * 3, "deviation": [0.2] * 3}
    return video_model_from_config({"library": "torchvision", "model": {"name": name}, "extractor": extractor}).eval()


def test_videomae_answers_as_its_library_does_and_can_be_rebuilt(videomae):
    model = load_video_model(videomae).eval()
    source = clips([4, 4], 32, 32)
    states, mask = model(source)
    assert states.shape == (2, 2, 12)  # tubes of two frames
    assert mask.all()
    gold = model.backbone(pixel_values=(source.values / 255 - 0.4) / 0.2).last_hidden_state
    assert_close(states, gold.unflatten(1, (2, 4)).mean(dim=2), rtol=1e-4, atol=1e-5)
    other = video_model_from_config(json.loads(json.dumps(model.to_config())))
    other.load_state_dict(model.state_dict())
    assert_close(other.eval()(source)[0], states)
    assert fingerprint(other) == fingerprint(model)


def test_a_clip_of_any_length_is_brought_to_what_the_model_reads(videomae):
    model = load_video_model(videomae).eval()
    source = clips([9, 1, 4], 32, 32)
    states, mask = model(source)
    assert mask.sum(dim=1).tolist() == [2, 2, 2]
    shown = source.values[0, [0, 2, 4, 6]][None]
    assert_close(model(SourceBatch(shown, torch.ones(1, 4, dtype=torch.bool)))[0][0], states[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["r3d_18", "s3d"])
def test_torchvisions_models_have_a_state_for_some_frames_and_padding_changes_nothing(name):
    model = torchvision_model(name)
    source = clips([2 * CLIP, CLIP], 32, 32)
    with torch.no_grad():
        states, mask = model(source)
        one, _ = model(alone(source, 1))
    assert mask.sum(dim=1).tolist() == [4, 2]
    assert_close(one[0], states[1, :2], rtol=1e-3, atol=1e-4)


def test_checkpointing_has_the_same_gradient(videomae):
    gradients = []
    for grad_checkpointing in (False, True):
        model = load_video_model(videomae, grad_checkpointing=grad_checkpointing)
        model.freeze(False)
        model.eval()
        torch.manual_seed(2)
        model(clips([4, 4, 4], 32, 32))[0].square().sum().backward()
        gradients.append(torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None]))
    assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)


def test_models_of_videos_are_told_from_those_of_pictures(videomae, tmp_path):
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(tmp_path / "resnet")
    assert is_video_model(videomae)
    assert is_video_model("torchvision:r3d_18")
    assert not is_video_model("torchvision:resnet18")
    assert not is_video_model(str(tmp_path / "resnet"))


@pytest.mark.parametrize("load", [is_video_model, load_video_model])
def test_what_cannot_be_loaded_is_said_in_one_line(load: Callable[[str], object], tmp_path: Path):
    with pytest.raises(ValueError, match=r"^the video model .* can't be loaded: [^\n]+$"):
        load(str(tmp_path))


def test_frozen_features_of_frames_are_those_of_the_model_and_its_settings_count(tmp_path):
    torch.manual_seed(1)
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(tmp_path)
    prints = []
    for mean in (0.4, 0.5):
        ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[mean] * 3, image_std=[0.2] * 3).save_pretrained(
            tmp_path
        )
        prints.append(fingerprint(FrameCNN(load_image_model(str(tmp_path)))))
    assert prints[0] != prints[1]
