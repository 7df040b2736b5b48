"""The parts that pretrained image and video models have in common: normalization, checkpointing, and loading."""

import urllib.error
import urllib.request
from abc import abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from encoders.pretrained.base import PretrainedFrontend, check_complete, check_name, import_transformers
from encoders.pretrained.downloads import TIMEOUT_S, fault_of

DEFAULT_SIZE = 224  # pixels a side, for processors that do not say


@dataclass(frozen=True)
class ImagePreprocessing:
    """The inputs of a model: images of ``size`` × ``size`` pixels, each channel less its ``mean``, over its ``std``."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ImagePreprocessing":
        return cls(config["size"], tuple(config["mean"]), tuple(config["std"]))

    def to_config(self) -> dict[str, Any]:
        return asdict(self)


class PretrainedVision(PretrainedFrontend):
    """The base of pretrained image and video models.

    The running statistics of batch norms never change, in fine-tuning either: small batches of other images would make
    them worse. With ``grad_checkpointing`` (Chen et al. 2016) an unfrozen backbone keeps no activations but recomputes
    them for the gradient, a chunk of images at a time: a third more computation for a fraction of the memory.
    """

    preprocessor: ImagePreprocessing
    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Any, preprocessor: ImagePreprocessing, *, grad_checkpointing: bool):
        super().__init__(backbone, preprocessor, dim=0)
        self.grad_checkpointing = grad_checkpointing
        for name, values in (("mean", preprocessor.mean), ("std", preprocessor.std)):
            self.register_buffer(name, 255 * torch.tensor(values)[:, None, None], persistent=False)

    @abstractmethod
    def forward_features(self, pixels: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch states dim"]:
        """Return the states of normalized images or clips."""

    def train(self, mode: bool = True) -> "PretrainedVision":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def normalize(self, pixels: UInt8[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
        return (pixels - self.mean) / self.std

    def checkpointed_forward(
        self, pixels: Float[Tensor, "batch ..."], chunk_size: int
    ) -> Float[Tensor, "batch states dim"]:
        """Apply ``forward_features``; with checkpointing, keep the activations of ``chunk_size`` inputs at a time."""
        if self.grad_checkpointing and not self.is_frozen and torch.is_grad_enabled():
            return torch.cat(
                [checkpoint(self.forward_features, chunk, use_reentrant=False) for chunk in pixels.split(chunk_size)]
            )
        return self.forward_features(pixels)


# ── transformers ────────────────────────────────────────────────────────────────────────────────────────────


def load_transformers_backbone(name: str) -> Any:
    """Load a model of transformers.

    Raises:
        ValueError: there is no such model, or weights are missing, except those of a pooler.
    """
    transformers = import_transformers()
    check_name(name)
    backbone, report = transformers.AutoModel.from_pretrained(name, output_loading_info=True)
    check_complete([key for key in report["missing_keys"] if "pooler" not in key])
    return backbone


def load_preprocessing(name: str, size: int | None) -> ImagePreprocessing:
    """Load the preprocessing from a model's image processor; ``size`` replaces its size.

    Raises ValueError if the processor has no mean of the pixels.
    """
    settings = import_transformers().AutoImageProcessor.from_pretrained(name).to_dict()
    settings |= settings.get("data_config") or {}  # of timm's models
    if "image_mean" not in settings and "mean" not in settings:
        raise ValueError("its processor has no mean and std of pixels, as an image model's has")
    mean, std = (tuple(settings.get(f"image_{key}") or settings[key]) for key in ("mean", "std"))
    return ImagePreprocessing(size or training_size(settings), mean, std)


def training_size(settings: dict[str, Any]) -> int:
    """Return the side of the images that a model was trained on, from any form of an image processor's settings."""
    size = settings.get("input_size") or settings.get("crop_size") or settings.get("size")
    if isinstance(size, (list, tuple)):
        return int(size[-1])
    if isinstance(size, dict):
        return int(next(size[key] for key in ("height", "shortest_edge") if key in size))
    return int(size or DEFAULT_SIZE)


# ── torchvision ─────────────────────────────────────────────────────────────────────────────────────────────


def load_torchvision_backbone(name: str, size: int | None) -> tuple[nn.Module, ImagePreprocessing]:
    """Load the convolutional part of a torchvision model with its default weights; ``size`` replaces its size."""
    from torchvision import models

    available: Any = models.get_model_weights(name)
    weights = available.DEFAULT
    check_weights(weights.url)
    settings = weights.transforms()
    preprocessor = ImagePreprocessing(size or settings.crop_size[0], tuple(settings.mean), tuple(settings.std))
    return torchvision_backbone(name, weights), preprocessor


def torchvision_backbone(name: str, weights: Any = None) -> nn.Module:
    """Build a torchvision model without its pooling and classifier, with random weights by default.

    Raises ValueError if it is not a convolutional network.
    """
    from torchvision import models

    model: Any = models.get_model(name, weights=weights)
    if hasattr(model, "features"):  # VGG, DenseNet, EfficientNet, ConvNeXt, MobileNet
        return model.features
    parts = dict(model.named_children())
    if {"avgpool", "fc"} - parts.keys():
        raise ValueError(f"torchvision's {name} has no grid of features; allowed are its convolutional networks")
    return nn.Sequential(*(part for key, part in parts.items() if key not in ("avgpool", "fc")))


def check_weights(url: str) -> None:
    """Check that torch can load weights from its cache, or else from their server.

    Raises:
        ConnectionError: if they are in neither.
    """
    file = Path(torch.hub.get_dir(), "checkpoints", urlsplit(url).path.rpartition("/")[2])
    fault = None if file.exists() else fault_of(lambda: urllib.request.urlopen(url, timeout=TIMEOUT_S).close())
    if fault is not None:
        raise ConnectionError(
            f"{urlsplit(url).hostname} can't be reached ({fault}), and there is no {file}; put the file of {url} there,"
            " or set TORCH_HOME to the folder of a cache that has it"
        )
