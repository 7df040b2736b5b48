"""Pretrained image models as frontends: torchvision's, and those of transformers, which include timm's."""

import inspect
import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from encoders.base import SourceBatch
from encoders.pretrained.base import config_from_settings, import_transformers, loading_error, transformers_settings
from encoders.pretrained.vision import (
    ImagePreprocessing,
    PretrainedVision,
    load_preprocessing,
    load_torchvision_backbone,
    load_transformers_backbone,
    torchvision_backbone,
)

CHUNK_SIZE = 8  # images whose activations are in memory at a time, with checkpointing


class PretrainedImage(PretrainedVision):
    """An image model for uint8 pixels. Its states are a convolutional grid, row by row, or a Transformer's patches."""

    def __init__(self, backbone: Any, preprocessor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        super().__init__(backbone, preprocessor, grad_checkpointing=grad_checkpointing)
        with torch.no_grad():  # no library reports the output size reliably
            states = self.forward_features(torch.zeros(1, 3, preprocessor.size, preprocessor.size))
        self.num_regions, self.dim = states.shape[1:]

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch regions dim"], Bool[Tensor, "batch regions"]]:
        """``source.values``: UInt8[Tensor, "batch 3 size size"], with one position per image in the mask."""
        pixels = self.normalize(source.values).contiguous(memory_format=torch.channels_last)
        states = self.checkpointed_forward(pixels, CHUNK_SIZE)
        return states, source.mask.expand(-1, states.size(1))


class TransformersImage(PretrainedImage):
    """An image model of transformers: ViT, DINOv2, Swin, ResNet, ConvNeXt, CLIP's image encoder, timm's and more."""

    library = "transformers"

    def forward_features(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch regions dim"]:
        is_resizable = "interpolate_pos_encoding" in inspect.signature(self.backbone.forward).parameters
        options = {"interpolate_pos_encoding": True} if is_resizable else {}
        states = self.backbone(pixel_values=pixels, **options).last_hidden_state
        if states.dim() == 4:
            return states.flatten(2).transpose(1, 2)
        return states[:, -(math.isqrt(states.size(1)) ** 2) :]  # patches, without the class and register tokens

    def backbone_settings(self) -> dict[str, Any]:
        return transformers_settings(self.backbone)


class TorchvisionImage(PretrainedImage):
    """A convolutional network of torchvision, without its pooling and classifier."""

    library = "torchvision"

    def __init__(self, name: str, backbone: Any, preprocessor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        self.name = name
        super().__init__(backbone, preprocessor, grad_checkpointing=grad_checkpointing)

    def forward_features(self, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch regions dim"]:
        return self.backbone(pixels).flatten(2).transpose(1, 2)

    def backbone_settings(self) -> dict[str, Any]:
        return {"name": self.name}


def load_image_model(name: str, size: int | None = None, *, grad_checkpointing: bool = False) -> PretrainedImage:
    """Load a model with its weights.

    Args:
        name: Id on the Hugging Face hub, a folder, or ``torchvision:NAME``, such as ``torchvision:resnet50``.
        size: Side of its images in pixels; by default the one it was trained on.
        grad_checkpointing: Recompute activations for the gradient instead of keeping them.

    Raises:
        ValueError: The model can't be loaded, or not for images of this size; the message has one line.
    """
    library, _, torchvision_name = name.rpartition(":")
    try:
        if library == "torchvision":
            backbone, preprocessor = load_torchvision_backbone(torchvision_name, size)
            return TorchvisionImage(torchvision_name, backbone, preprocessor, grad_checkpointing=grad_checkpointing)
        backbone, preprocessor = load_transformers_backbone(name), load_preprocessing(name, size)
        return TransformersImage(without_pooler(backbone), preprocessor, grad_checkpointing=grad_checkpointing)
    except ModuleNotFoundError:  # of an extra
        raise
    except Exception as error:  # files, the network and other libraries raise all kinds
        raise loading_error("image", name, error) from error


def image_model_from_config(config: dict[str, Any], *, grad_checkpointing: bool = False) -> PretrainedImage:
    """Build a model from ``PretrainedFrontend.to_config``, with random weights, which a checkpoint then replaces."""
    model, preprocessor = config["model"], ImagePreprocessing.from_config(config["preprocessor"])
    if config["library"] == "torchvision":
        backbone = torchvision_backbone(model["name"])
        return TorchvisionImage(model["name"], backbone, preprocessor, grad_checkpointing=grad_checkpointing)
    transformers = import_transformers()
    backbone = transformers.AutoModel.from_config(config_from_settings(model))
    return TransformersImage(without_pooler(backbone), preprocessor, grad_checkpointing=grad_checkpointing)


def without_pooler(backbone: Any) -> Any:
    """Return the image part of a model, without a pooler, whose parameters would never get a gradient."""
    backbone = getattr(backbone, "vision_model", backbone)
    pooler = getattr(backbone, "pooler", None)
    if pooler is not None and any(True for _ in pooler.parameters()):
        backbone.pooler = None
    return backbone
