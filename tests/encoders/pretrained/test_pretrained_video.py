"""Pretrained video models: equality with their libraries, configurations, clips of any length, checkpointing."""

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

from encoders.base import SourceBatch
from encoders.pretrained.image import load_image_model
from encoders.pretrained.video import (
    CLIP_FRAMES,
    PretrainedVideo,
    is_video_model,
    load_video_model,
    video_model_from_config,
)
from encoders.video import FrameCNN
from tasks.common.training.precompute import fingerprint

SIZES = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def clips(lengths: list[int]) -> SourceBatch:
    """Random videos with these numbers of frames; padding holds random pixels too."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return SourceBatch(torch.randint(0, 256, (*mask.shape, 3, 32, 32), dtype=torch.uint8), mask)


def alone(source: SourceBatch, row: int) -> SourceBatch:
    length = int(source.mask[row].sum())
    return SourceBatch(source.values[row : row + 1, :length], source.mask[row : row + 1, :length])


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
    preprocessor = {"size": 32, "mean": [0.4] * 3, "std": [0.2] * 3}
    config = {"library": "torchvision", "model": {"name": name}, "preprocessor": preprocessor}
    return video_model_from_config(config).eval()


def test_videomae_equals_its_library_and_is_built_again_from_its_config(videomae):
    model = load_video_model(videomae).eval()
    source = clips([4, 4])
    states, mask = model(source)
    assert states.shape == (2, 2, 12)  # tubes of two frames
    assert mask.all()
    expected = model.backbone(pixel_values=(source.values / 255 - 0.4) / 0.2).last_hidden_state
    assert_close(states, expected.unflatten(1, (2, 4)).mean(dim=2), rtol=1e-4, atol=1e-5)
    other = video_model_from_config(json.loads(json.dumps(model.to_config())))
    other.load_state_dict(model.state_dict())
    assert_close(other.eval()(source)[0], states)
    assert fingerprint(other) == fingerprint(model)


def test_a_clip_of_any_length_is_resampled_to_the_models_length(videomae):
    model = load_video_model(videomae).eval()
    source = clips([9, 1, 4])
    states, mask = model(source)
    assert mask.sum(dim=1).tolist() == [2, 2, 2]
    resampled = SourceBatch(source.values[0, [0, 2, 4, 6]][None], torch.ones(1, 4, dtype=torch.bool))
    assert_close(model(resampled)[0][0], states[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["r3d_18", "s3d"])
def test_torchvision_models_have_a_state_for_some_frames_and_padding_changes_nothing(name):
    model = torchvision_model(name)
    source = clips([2 * CLIP_FRAMES, CLIP_FRAMES])
    with torch.no_grad():
        states, mask = model(source)
        one, _ = model(alone(source, 1))
    assert mask.sum(dim=1).tolist() == [4, 2]
    assert_close(one[0], states[1, :2], rtol=1e-3, atol=1e-4)


def test_checkpointing_has_the_same_gradient(videomae):
    gradients = []
    for grad_checkpointing in (False, True):
        model = load_video_model(videomae, grad_checkpointing=grad_checkpointing)
        model.set_frozen(False)
        model.eval()
        torch.manual_seed(2)
        model(clips([4, 4, 4]))[0].square().sum().backward()
        gradients.append(torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None]))
    assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)


def test_video_models_are_distinguished_from_image_models(videomae, tmp_path):
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(tmp_path / "resnet")
    assert is_video_model(videomae)
    assert is_video_model("torchvision:r3d_18")
    assert not is_video_model("torchvision:resnet18")
    assert not is_video_model(str(tmp_path / "resnet"))


@pytest.mark.parametrize("load", [is_video_model, load_video_model])
def test_a_model_that_cannot_be_loaded_is_reported_in_one_line(load: Callable[[str], object], tmp_path: Path):
    with pytest.raises(ValueError, match=r"^the video model .* can't be loaded: [^\n]+$"):
        load(str(tmp_path))


def test_the_fingerprint_of_a_frontend_of_frames_depends_on_the_settings_of_its_model(tmp_path):
    torch.manual_seed(1)
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(tmp_path)
    fingerprints = []
    for mean in (0.4, 0.5):
        ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[mean] * 3, image_std=[0.2] * 3).save_pretrained(
            tmp_path
        )
        fingerprints.append(fingerprint(FrameCNN(load_image_model(str(tmp_path)))))
    assert fingerprints[0] != fingerprints[1]
