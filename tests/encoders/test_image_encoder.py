"""Image encoders: what they promise every decoder, and the pretrained ones in particular."""

import json
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

from encoders.base import IdentityFrontend, SourceBatch
from encoders.image import ImageEncoder, SmallResNet
from encoders.pretrained.image import CHUNK, PretrainedImage, image_model_from_config, load_image_model
from tasks.common.data.precompute import fingerprint

TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: ViTModel(ViTConfig(**TRANSFORMER, image_size=32, patch_size=8)),
    "clip": lambda: CLIPVisionModel(CLIPVisionConfig(**TRANSFORMER, image_size=32, patch_size=8)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(**TRANSFORMER, image_size=32, patch_size=8)),
    "resnet": lambda: ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
    "convnext": lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2)),
}


def pictures(count: int, side: int = 32) -> SourceBatch:
    pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    return SourceBatch(pixels, torch.ones(count, 1, dtype=torch.bool))


@pytest.fixture
def make(tmp_path) -> Callable[..., PretrainedImage]:
    def build(kind: str, **options) -> PretrainedImage:
        torch.manual_seed(1)
        MODELS[kind]().save_pretrained(tmp_path)
        size = {"height": 32, "width": 32}
        ViTImageProcessor(size=size, image_mean=[0.4] * 3, image_std=[0.2] * 3).save_pretrained(tmp_path)
        return load_image_model(str(tmp_path), **options)

    return build


def test_a_picture_becomes_a_grid_of_states_alone_or_in_a_batch():
    encoder = ImageEncoder(SmallResNet((8, 16, 24)), 12, regions=16).eval()
    source = pictures(3)
    memory = encoder(source)
    assert memory.states.shape == (3, 16, 12)
    assert memory.mask.all()
    assert memory.summary.shape == (3, 12)
    one = encoder(SourceBatch(source.values[1:2], source.mask[1:2]))
    assert_close(one.states[0], memory.states[1], rtol=1e-4, atol=1e-5)


def test_regions_are_told_apart_by_their_place():
    encoder = ImageEncoder(SmallResNet((8, 8)), 12, regions=64).eval()
    grey = SourceBatch(torch.full((1, 3, 32, 32), 128, dtype=torch.uint8), torch.ones(1, 1, dtype=torch.bool))
    middle = encoder(grey).states[0].unflatten(0, (8, 8))[3:5, 3:5].flatten(0, 1)  # far from the border
    assert (middle[0] - middle[3]).abs().max() > 1e-3


def test_padding_of_region_features_changes_nothing():
    encoder = ImageEncoder(IdentityFrontend(5), 12, regions=None).eval()
    values = torch.randn(2, 4, 5)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    whole, alone = encoder(SourceBatch(values, mask)), encoder(SourceBatch(values[1:, :2], mask[1:, :2]))
    assert_close(whole.summary[1], alone.summary[0])
    assert_close(whole.states[1, :2], alone.states[0])


@pytest.mark.parametrize(
    ("kind", "regions"), [("vit", 16), ("clip", 16), ("dinov2", 16), ("resnet", 16), ("convnext", 16)]
)
def test_every_kind_answers_as_its_library_does_and_can_be_rebuilt(make, kind, regions):
    model = make(kind).eval()
    source = pictures(2)
    states, mask = model(source)
    assert states.shape == (2, regions, model.dim)
    assert mask.all()
    pixels = (source.values / 255 - 0.4) / 0.2
    gold = model.backbone(pixel_values=pixels).last_hidden_state
    gold = gold.flatten(2).transpose(1, 2) if gold.dim() == 4 else gold[:, -regions:]
    assert_close(states, gold, rtol=1e-4, atol=1e-5)
    other = image_model_from_config(json.loads(json.dumps(model.to_config())))
    other.load_state_dict(model.state_dict())
    assert_close(other.eval()(source)[0], states)
    assert fingerprint(other) == fingerprint(model)


@pytest.mark.parametrize("kind", ["vit", "clip", "resnet"])
def test_another_size_gives_another_grid(make, kind):
    model = make(kind, size=64)
    assert model.regions == 4 * make(kind).regions
    assert model(pictures(1, 64))[0].size(1) == model.regions


def test_the_statistics_of_batch_normalisation_stay_also_when_it_learns(make):
    model = make("resnet")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.freeze(False)
    model.train()
    model(pictures(4))[0].sum().backward()
    assert any(parameter.grad is not None for parameter in model.parameters())
    for name, buffer in model.named_buffers():
        assert_close(buffer, before[name])


def test_checkpointing_keeps_less_and_has_the_same_gradient(make):
    source = pictures(2 * CHUNK + 1)
    kept, gradients = [], []
    for grad_checkpointing in (False, True):
        model = make("resnet", grad_checkpointing=grad_checkpointing)
        model.freeze(False)
        held: dict[int, int] = {}

        def pack(tensor: torch.Tensor, held: dict[int, int] = held) -> torch.Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(source)[0].square().sum()
        kept.append(sum(held.values()))
        loss.backward()
        gradients.append(torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None]))
    assert kept[1] < 0.5 * kept[0]
    assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-4)


def test_torchvision_gives_its_grid_without_the_classifier():
    description = {"size": 64, "mean": [0.5] * 3, "deviation": [0.5] * 3}
    for name, dim in (("resnet18", 512), ("mobilenet_v3_small", 576)):
        model = image_model_from_config({"library": "torchvision", "model": {"name": name}, "extractor": description})
        assert (model.regions, model.dim) == (4, dim)
        assert model.to_config()["model"] == {"name": name}


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path):
    for name in ("torchvision:resnet999", "torchvision:vit_b_16", str(tmp_path)):
        with pytest.raises(ValueError, match="can't be loaded") as caught:
            load_image_model(name)
        assert "\n" not in str(caught.value)
