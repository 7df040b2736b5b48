"""Pretrained image models: equality with their libraries, configurations, batch norm and checkpointing."""

import json
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from encoders.base import SourceBatch
from encoders.pretrained.image import CHUNK_SIZE, PretrainedImage, image_model_from_config, load_image_model
from tasks.common.training.precompute import fingerprint

TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: ViTModel(ViTConfig(**TRANSFORMER, image_size=32, patch_size=8)),
    "clip": lambda: CLIPVisionModel(CLIPVisionConfig(**TRANSFORMER, image_size=32, patch_size=8)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(**TRANSFORMER, image_size=32, patch_size=8)),
    "resnet": lambda: ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
    "convnext": lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)),
}


def images(count: int, side: int = 32) -> SourceBatch:
    pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    return SourceBatch(pixels, torch.ones(count, 1, dtype=torch.bool))


@pytest.fixture
def make_model(tmp_path) -> Callable[..., PretrainedImage]:
    """Save a tiny random model and load it."""

    def make(kind: str, **options) -> PretrainedImage:
        torch.manual_seed(1)
        MODELS[kind]().save_pretrained(tmp_path)
        size = {"height": 32, "width": 32}
        ViTImageProcessor(size=size, image_mean=[0.4] * 3, image_std=[0.2] * 3).save_pretrained(tmp_path)
        return load_image_model(str(tmp_path), **options)

    return make


@pytest.mark.parametrize(
    ("kind", "num_regions"), [("vit", 16), ("clip", 16), ("dinov2", 16), ("resnet", 16), ("convnext", 16)]
)
def test_every_kind_equals_its_library_and_is_built_again_from_its_config(make_model, kind, num_regions):
    model = make_model(kind).eval()
    source = images(2)
    states, mask = model(source)
    assert states.shape == (2, num_regions, model.dim)
    assert mask.all()
    pixels = (source.values / 255 - 0.4) / 0.2
    expected = model.backbone(pixel_values=pixels).last_hidden_state
    expected = expected.flatten(2).transpose(1, 2) if expected.dim() == 4 else expected[:, -num_regions:]
    assert_close(states, expected, rtol=1e-4, atol=1e-5)
    other = image_model_from_config(json.loads(json.dumps(model.to_config())))
    other.load_state_dict(model.state_dict())
    assert_close(other.eval()(source)[0], states)
    assert fingerprint(other) == fingerprint(model)


@pytest.mark.parametrize("kind", ["vit", "clip", "resnet"])
def test_another_size_gives_another_grid(make_model, kind):
    model = make_model(kind, size=64)
    assert model.num_regions == 4 * make_model(kind).num_regions
    assert model(images(1, 64))[0].size(1) == model.num_regions


def test_batch_norm_statistics_do_not_change_in_fine_tuning(make_model):
    model = make_model("resnet")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.set_frozen(False)
    model.train()
    model(images(4))[0].sum().backward()
    assert any(parameter.grad is not None for parameter in model.parameters())
    for name, buffer in model.named_buffers():
        assert_close(buffer, before[name])


def test_checkpointing_saves_memory_and_has_the_same_gradient(make_model):
    source = images(2 * CHUNK_SIZE + 1)
    num_bytes, gradients = [], []
    for grad_checkpointing in (False, True):
        model = make_model("resnet", grad_checkpointing=grad_checkpointing)
        model.set_frozen(False)
        saved: dict[int, int] = {}

        def pack(tensor: torch.Tensor, saved: dict[int, int] = saved) -> torch.Tensor:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(source)[0].square().sum()
        num_bytes.append(sum(saved.values()))
        loss.backward()
        gradients.append(torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None]))
    assert num_bytes[1] < 0.5 * num_bytes[0]
    assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-4)


def test_torchvision_models_give_their_grid_without_the_classifier():
    preprocessor = {"size": 64, "mean": [0.5] * 3, "std": [0.5] * 3}
    for name, dim in (("resnet18", 512), ("mobilenet_v3_small", 576)):
        config = {"library": "torchvision", "model": {"name": name}, "preprocessor": preprocessor}
        model = image_model_from_config(config)
        assert (model.num_regions, model.dim) == (4, dim)
        assert model.to_config()["model"] == {"name": name}


def test_a_model_that_cannot_be_loaded_is_reported_in_one_line(tmp_path):
    for name in ("torchvision:resnet999", "torchvision:vit_b_16", str(tmp_path)):
        with pytest.raises(ValueError, match="can't be loaded") as caught:
            load_image_model(name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("library", "name"), [("transformers", "google/vit"), ("torchvision", "torchvision:resnet18")])
def test_a_missing_library_is_told_from_a_model_that_cannot_be_loaded(library, name, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        load_image_model(name)
    assert caught.value.name == library
