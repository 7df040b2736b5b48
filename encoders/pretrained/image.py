"""Pretrained image models as front ends: by torchvision, or by transformers, which brings timm's as well."""

import inspect
import math
from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from encoders.base import SourceBatch
from encoders.pretrained.base import PretrainedFrontend, backbone_config, import_transformers

CHUNK = 8  # pictures whose activations are held at a time, with checkpointing


@dataclass(frozen=True)
class ImagePreprocessing:
    """How a model wants its pixels: pictures of ``size`` × ``size``, each channel less ``mean``, over ``std``."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_config(self) -> dict[str, Any]:
        return asdict(self)


class PretrainedVision(PretrainedFrontend):
    """What models of pictures and of videos share: how they normalise pixels, and how they learn.

    The statistics of batch normalisation stay as they came, also when the body learns: a small batch of other
    pictures would only spoil them. With ``grad_checkpointing`` (Chen et al. 2016) a body that learns keeps no activations
    but computes them again for the gradient, CHUNK pictures at a time: a third more work for a fraction of the memory.
    """

    extractor: ImagePreprocessing
    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Any, extractor: ImagePreprocessing, *, grad_checkpointing: bool):
        super().__init__(backbone, dim=0)
        self.extractor = extractor
        self.grad_checkpointing = grad_checkpointing
        for name, values in (("mean", extractor.mean), ("deviation", extractor.std)):
            self.register_buffer(name, 255 * torch.tensor(values)[:, None, None], persistent=False)

    @abstractmethod
    def forward_features(self, pixels: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch states dim"]:
        """The states of normalised pictures or clips."""

    def train(self, mode: bool = True) -> "PretrainedVision":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def normalize(self, pixels: UInt8[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
        return (pixels - self.mean) / self.std

    def checkpointed_forward(self, pixels: Float[Tensor, "batch ..."], chunk: int) -> Float[Tensor, "batch states dim"]:
        """``forward_features``, with no more than ``chunk`` of the batch's activations in memory if ``grad_checkpointing``."""
        if self.grad_checkpointing and not self.frozen and torch.is_grad_enabled():
            return torch.cat(
                [checkpoint(self.forward_features, part, use_reentrant=False) for part in pixels.split(chunk)]
            )
        return self.forward_features(pixels)


class PretrainedImage(PretrainedVision):
    """A grid of convolutional states, row by row, or a Transformer's patches. Reads uint8 pixels."""

    def __init__(self, backbone: Any, extractor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        super().__init__(backbone, extractor, grad_checkpointing=grad_checkpointing)
        with torch.no_grad():  # the surest way to know what comes out
            self.regions, self.dim = self.forward_features(torch.zeros(1, 3, extractor.size, extractor.size)).shape[1:]

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: UInt8[Tensor, "batch 3 size size"], with one place a picture in the mask."""
        pixels = self.normalize(source.values).contiguous(memory_format=torch.channels_last)
        states = self.checkpointed_forward(pixels, CHUNK)
        return states, source.mask.expand(-1, states.size(1))


class TransformersImage(PretrainedImage):
    """ViT, DINOv2, Swin, ResNet, ConvNeXt, the image half of CLIP, timm's models and more, by transformers."""

    library = "transformers"

    def forward_features(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch regions dim"]:
        resizable = "interpolate_pos_encoding" in inspect.signature(self.backbone.forward).parameters
        options = {"interpolate_pos_encoding": True} if resizable else {}
        states = self.backbone(pixel_values=pixels, **options).last_hidden_state
        if states.dim() == 4:
            return states.flatten(2).transpose(1, 2)
        return states[:, -(math.isqrt(states.size(1)) ** 2) :]  # patches, without what stands in front of them

    def backbone_settings(self) -> dict[str, Any]:
        return backbone_config(self.backbone)


class TorchvisionImage(PretrainedImage):
    """A convolutional network without its pooling and its classifier, by torchvision."""

    library = "torchvision"

    def __init__(self, name: str, backbone: Any, extractor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        self.name = name
        super().__init__(backbone, extractor, grad_checkpointing=grad_checkpointing)

    def forward_features(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch regions dim"]:
        return self.backbone(pixels).flatten(2).transpose(1, 2)

    def backbone_settings(self) -> dict[str, Any]:
        return {"name": self.name}


def load_image_model(name: str, size: int | None = None, *, grad_checkpointing: bool = False) -> PretrainedImage:
    """A model with its weights: by its id on the hub, its folder, or as ``torchvision:resnet50``.

    ``size``: the side of its pictures in pixels (None: what it was trained on). Raises ValueError, in one line, for
    whatever can't be loaded, or can't read pictures of this size.
    """
    library, _, model = name.rpartition(":")
    try:
        if library == "torchvision":
            return load_torchvision(model, size, grad_checkpointing)
        return load_transformers(name, size, grad_checkpointing)
    except Exception as error:  # of files, of the network, of code that is not ours
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"the image model {name} can't be loaded: {reason}") from error


def image_model_from_config(description: dict[str, Any], *, grad_checkpointing: bool = False) -> PretrainedImage:
    """What ``PretrainedFrontend.to_config`` described, with random weights: those of a trained run are loaded afterwards."""
    model, pixels = description["model"], description["extractor"]
    extractor = ImagePreprocessing(pixels["size"], tuple(pixels["mean"]), tuple(pixels["deviation"]))
    if description["library"] == "torchvision":
        backbone = torchvision_body(model["name"], None)
        return TorchvisionImage(model["name"], backbone, extractor, grad_checkpointing=grad_checkpointing)
    transformers = import_transformers()
    backbone = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**model))
    return TransformersImage(trimmed(backbone), extractor, grad_checkpointing=grad_checkpointing)


def load_transformers(name: str, size: int | None, grad_checkpointing: bool) -> PretrainedImage:
    backbone = load_body(name)
    return TransformersImage(trimmed(backbone), load_preprocessing(name, size), grad_checkpointing=grad_checkpointing)


def load_body(name: str) -> Any:
    """A model of transformers with all its weights. Raises ValueError if some are missing."""
    backbone, report = import_transformers().AutoModel.from_pretrained(name, output_loading_info=True)
    missing = [key for key in report["missing_keys"] if "pooler" not in key]
    if missing:
        raise ValueError(f"it has no weights for {missing[0]} and {len(missing) - 1} others")
    return backbone


def load_preprocessing(name: str, size: int | None) -> ImagePreprocessing:
    """What the processor of a model says of its pixels. Raises ValueError if it says nothing."""
    settings = import_transformers().AutoImageProcessor.from_pretrained(name).to_dict()
    settings |= settings.get("data_config") or {}  # of timm
    if "image_mean" not in settings and "mean" not in settings:
        raise ValueError("it does not say how its pixels are normalised, so it is no image model")
    mean, std = (tuple(settings.get(f"image_{key}") or settings[key]) for key in ("mean", "std"))
    return ImagePreprocessing(size or trained_size(settings), mean, std)


def trimmed(backbone: Any) -> Any:
    """The part of a model that sees, without a pooler that nobody reads."""
    backbone = getattr(backbone, "vision_model", backbone)
    pooler = getattr(backbone, "pooler", None)
    if pooler is not None and any(True for _ in pooler.parameters()):
        backbone.pooler = None
    return backbone


def trained_size(settings: dict[str, Any]) -> int:
    """The side of the pictures that a model was trained on, however its processor says it."""
    found = settings.get("input_size") or settings.get("crop_size") or settings.get("size")
    if isinstance(found, (list, tuple)):
        return int(found[-1])
    if isinstance(found, dict):
        return int(next(found[key] for key in ("height", "shortest_edge") if key in found))
    return int(found or 224)


def load_torchvision(name: str, size: int | None, grad_checkpointing: bool) -> PretrainedImage:
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).DEFAULT  # type: ignore[attr-defined]
    settings = weights.transforms()
    pixels = ImagePreprocessing(size or settings.crop_size[0], tuple(settings.mean), tuple(settings.std))
    return TorchvisionImage(name, torchvision_body(name, weights), pixels, grad_checkpointing=grad_checkpointing)


def torchvision_body(name: str, weights: Any) -> nn.Module:
    from torchvision.models import get_model

    model: Any = get_model(name, weights=weights)
    if hasattr(model, "features"):  # VGG, DenseNet, EfficientNet, ConvNeXt, MobileNet
        return model.features
    parts = dict(model.named_children())
    if {"avgpool", "fc"} - parts.keys():
        raise ValueError(f"torchvision's {name} has no grid of features; allowed are its convolutional networks")
    return nn.Sequential(*(part for key, part in parts.items() if key not in ("avgpool", "fc")))
