"""Pretrained image models as front ends: by torchvision, or by transformers, which brings timm's as well."""

import inspect
import math
from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from encoders.base import Source
from encoders.pretrained import Pretrained, configuration, silent_transformers

CHUNK = 8  # pictures whose activations are held at a time, with checkpointing


@dataclass(frozen=True)
class Pixels:
    """How a model wants its pixels: pictures of ``size`` × ``size``, each channel less ``mean``, over ``deviation``."""

    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def describe(self) -> dict[str, Any]:
        return asdict(self)


class PretrainedImage(Pretrained):
    """A grid of convolutional states, row by row, or a Transformer's patches. Reads uint8 pixels.

    The statistics of batch normalisation stay as they came, also when the body learns: a small batch of other
    pictures would only spoil them. With ``checkpointing`` (Chen et al. 2016) a body that learns keeps no activations
    but computes them again for the gradient, CHUNK pictures at a time: a third more work for a fraction of the memory.
    """

    extractor: Pixels
    mean: Tensor
    deviation: Tensor

    def __init__(self, body: Any, extractor: Pixels, *, checkpointing: bool = False):
        super().__init__(body, dim=0)
        self.extractor = extractor
        self.checkpointing = checkpointing
        for name, values in (("mean", extractor.mean), ("deviation", extractor.deviation)):
            self.register_buffer(name, 255 * torch.tensor(values)[:, None, None], persistent=False)
        with torch.no_grad():  # the surest way to know what comes out
            self.regions, self.dim = self.look(torch.zeros(1, 3, extractor.size, extractor.size)).shape[1:]

    @abstractmethod
    def look(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch regions dim"]:
        """The states of normalised pictures."""

    def train(self, mode: bool = True) -> "PretrainedImage":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def forward(self, source: Source) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: UInt8[Tensor, "batch 3 size size"], with one place a picture in the mask."""
        pixels = ((source.values - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        if self.checkpointing and not self.frozen and torch.is_grad_enabled():
            chunks = [checkpoint(self.look, chunk, use_reentrant=False) for chunk in pixels.split(CHUNK)]
            states = torch.cat(chunks)
        else:
            states = self.look(pixels)
        return states, source.mask.expand(-1, states.size(1))


class TransformersImage(PretrainedImage):
    """ViT, DINOv2, Swin, ResNet, ConvNeXt, the image half of CLIP, timm's models and more, by transformers."""

    library = "transformers"

    def look(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch regions dim"]:
        resizable = "interpolate_pos_encoding" in inspect.signature(self.body.forward).parameters
        options = {"interpolate_pos_encoding": True} if resizable else {}
        states = self.body(pixel_values=pixels, **options).last_hidden_state
        if states.dim() == 4:
            return states.flatten(2).transpose(1, 2)
        return states[:, -(math.isqrt(states.size(1)) ** 2) :]  # patches, without what stands in front of them

    def architecture(self) -> dict[str, Any]:
        return configuration(self.body)


class TorchvisionImage(PretrainedImage):
    """A convolutional network without its pooling and its classifier, by torchvision."""

    library = "torchvision"

    def __init__(self, name: str, body: Any, extractor: Pixels, *, checkpointing: bool = False):
        self.name = name
        super().__init__(body, extractor, checkpointing=checkpointing)

    def look(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch regions dim"]:
        return self.body(pixels).flatten(2).transpose(1, 2)

    def architecture(self) -> dict[str, Any]:
        return {"name": self.name}


def load_image_model(name: str, size: int | None = None, *, checkpointing: bool = False) -> PretrainedImage:
    """A model with its weights: by its id on the hub, its folder, or as ``torchvision:resnet50``.

    ``size``: the side of its pictures in pixels (None: what it was trained on). Raises ValueError, in one line, for
    whatever can't be loaded, or can't read pictures of this size.
    """
    library, _, model = name.rpartition(":")
    try:
        if library == "torchvision":
            return load_torchvision(model, size, checkpointing)
        return load_transformers(name, size, checkpointing)
    except Exception as error:  # of files, of the network, of code that is not ours
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"the image model {name} can't be loaded: {reason}") from error


def rebuild_image_model(description: dict[str, Any], *, checkpointing: bool = False) -> PretrainedImage:
    """What ``Pretrained.describe`` described, with random weights: those of a trained run are loaded afterwards."""
    model, pixels = description["model"], description["extractor"]
    extractor = Pixels(pixels["size"], tuple(pixels["mean"]), tuple(pixels["deviation"]))
    if description["library"] == "torchvision":
        body = torchvision_body(model["name"], None)
        return TorchvisionImage(model["name"], body, extractor, checkpointing=checkpointing)
    transformers = silent_transformers()
    body = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**model))
    return TransformersImage(trimmed(body), extractor, checkpointing=checkpointing)


def load_transformers(name: str, size: int | None, checkpointing: bool) -> PretrainedImage:
    transformers = silent_transformers()
    body, report = transformers.AutoModel.from_pretrained(name, output_loading_info=True)
    missing = [key for key in report["missing_keys"] if "pooler" not in key]
    if missing:
        raise ValueError(f"it has no weights for {missing[0]} and {len(missing) - 1} others")
    settings = transformers.AutoImageProcessor.from_pretrained(name).to_dict()
    settings |= settings.get("data_config") or {}  # of timm
    if "image_mean" not in settings and "mean" not in settings:
        raise ValueError("it does not say how its pixels are normalised, so it is no image model")
    mean, deviation = (tuple(settings.get(f"image_{key}") or settings[key]) for key in ("mean", "std"))
    return TransformersImage(
        trimmed(body), Pixels(size or trained_size(settings), mean, deviation), checkpointing=checkpointing
    )


def trimmed(body: Any) -> Any:
    """The part of a model that sees, without a pooler that nobody reads."""
    body = getattr(body, "vision_model", body)
    pooler = getattr(body, "pooler", None)
    if pooler is not None and any(True for _ in pooler.parameters()):
        body.pooler = None
    return body


def trained_size(settings: dict[str, Any]) -> int:
    """The side of the pictures that a model was trained on, however its processor says it."""
    found = settings.get("input_size") or settings.get("crop_size") or settings.get("size")
    if isinstance(found, (list, tuple)):
        return int(found[-1])
    if isinstance(found, dict):
        return int(next(found[key] for key in ("height", "shortest_edge") if key in found))
    return int(found or 224)


def load_torchvision(name: str, size: int | None, checkpointing: bool) -> PretrainedImage:
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT  # type: ignore[attr-defined]
    settings = weights.transforms()
    pixels = Pixels(size or settings.crop_size[0], tuple(settings.mean), tuple(settings.std))
    return TorchvisionImage(name, torchvision_body(name, weights), pixels, checkpointing=checkpointing)


def torchvision_body(name: str, weights: Any) -> nn.Module:
    from torchvision.models import get_model

    model: Any = get_model(name, weights=weights)
    if hasattr(model, "features"):  # VGG, DenseNet, EfficientNet, ConvNeXt, MobileNet
        return model.features
    parts = dict(model.named_children())
    if {"avgpool", "fc"} - parts.keys():
        raise ValueError(f"torchvision's {name} has no grid of features; allowed are its convolutional networks")
    return nn.Sequential(*(part for key, part in parts.items() if key not in ("avgpool", "fc")))
