"""Pretrained video models as front ends: torchvision's convolutional ones, and VideoMAE by transformers."""

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from encoders.base import SourceBatch
from encoders.pretrained.base import backbone_config, import_transformers
from encoders.pretrained.image import (
    ImagePreprocessing,
    PretrainedVision,
    load_body,
    load_preprocessing,
    torchvision_body,
)

CLIP = 16  # frames that torchvision's models were trained on
CHUNK = 2  # clips whose activations are held at a time, with checkpointing


class PretrainedVideo(PretrainedVision):
    """Clips to a state for some frames each, its regions' mean. Reads uint8 pixels.

    Clips of one length are computed together, so none meets another's padding. A clip that is shorter than the model
    can read shows its frames several times, at equal distances.
    """

    def __init__(self, backbone: Any, extractor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        super().__init__(backbone, extractor, grad_checkpointing=grad_checkpointing)
        with torch.no_grad():
            states = self.forward_features(torch.zeros(1, 3, self.wanted(1), extractor.size, extractor.size))
        self.dim = states.size(2)

    @abstractmethod
    def wanted(self, frames: int) -> int:
        """How many frames a clip of ``frames`` is brought to."""

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 size size"]."""
        sizes = source.mask.sum(dim=1)
        rows: dict[int, Float[Tensor, "states dim"]] = {}
        for frames in sizes.unique().tolist():
            alike = (sizes == frames).nonzero().squeeze(1)
            wanted = self.wanted(frames)
            shown = (torch.arange(wanted, device=alike.device) * frames).div(wanted, rounding_mode="floor")
            clips = self.normalize(source.values[alike][:, shown]).transpose(1, 2)
            rows |= zip(alike.tolist(), self.checkpointed_forward(clips, CHUNK), strict=True)
        states = [rows[row] for row in range(len(sizes))]
        real = [torch.ones(len(each), dtype=torch.bool, device=each.device) for each in states]
        return pad_sequence(states, batch_first=True), pad_sequence(real, batch_first=True)


class TorchvisionVideo(PretrainedVideo):
    """r3d_18, mc3_18, r2plus1d_18 (Tran et al. 2018) and s3d (Xie et al. 2018), without pooling and classifier."""

    library = "torchvision"

    def __init__(self, name: str, backbone: Any, extractor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        self.name = name
        super().__init__(backbone, extractor, grad_checkpointing=grad_checkpointing)

    def wanted(self, frames: int) -> int:
        return max(frames, CLIP)

    def forward_features(
        self, pixels: Float[Tensor, "batch 3 frames height width"]
    ) -> Float[Tensor, "batch states dim"]:
        return self.backbone(pixels).mean(dim=(3, 4)).transpose(1, 2)

    def backbone_settings(self) -> dict[str, Any]:
        return {"name": self.name}


class VideoMAEFrontend(PretrainedVideo):
    """VideoMAE (Tong et al. 2022): a Transformer over tubes of two frames, for one number of frames alone."""

    library = "transformers"

    def wanted(self, frames: int) -> int:
        return self.backbone.config.num_frames

    def forward_features(
        self, pixels: Float[Tensor, "batch 3 frames height width"]
    ) -> Float[Tensor, "batch states dim"]:
        tubes = self.backbone(pixel_values=pixels.transpose(1, 2)).last_hidden_state
        return tubes.unflatten(1, (pixels.size(2) // self.backbone.config.tubelet_size, -1)).mean(dim=2)

    def backbone_settings(self) -> dict[str, Any]:
        return backbone_config(self.backbone)


def is_video_model(name: str) -> bool:
    """Whether ``name`` is a model of videos, to tell it from those of pictures. Raises ValueError if none is there."""
    library, _, model = name.rpartition(":")
    try:
        if library == "torchvision":
            import torchvision

            return model in torchvision.models.list_models(module=torchvision.models.video)
        return import_transformers().AutoConfig.from_pretrained(name).model_type == "videomae"
    except Exception as error:  # of files, of the network, of code that is not ours
        raise cannot_load(name, error) from error


def load_video_model(name: str, size: int | None = None, *, grad_checkpointing: bool = False) -> PretrainedVideo:
    """A model with its weights: VideoMAE by its id on the hub or its folder, or ``torchvision:r3d_18``.

    ``size``: the side of its frames in pixels (None: what it was trained on). Raises ValueError, in one line, for
    whatever can't be loaded, or can't read frames of this size.
    """
    library, _, model = name.rpartition(":")
    try:
        if library == "torchvision":
            from torchvision.models import get_model_weights

            weights = get_model_weights(model).DEFAULT  # type: ignore[attr-defined]
            settings = weights.transforms()
            pixels = ImagePreprocessing(size or settings.crop_size[0], tuple(settings.mean), tuple(settings.std))
            return TorchvisionVideo(
                model, torchvision_body(model, weights), pixels, grad_checkpointing=grad_checkpointing
            )
        return VideoMAEFrontend(load_body(name), load_preprocessing(name, size), grad_checkpointing=grad_checkpointing)
    except Exception as error:
        raise cannot_load(name, error) from error


def video_model_from_config(description: dict[str, Any], *, grad_checkpointing: bool = False) -> PretrainedVideo:
    """What ``PretrainedFrontend.to_config`` described, with random weights: those of a trained run are loaded afterwards."""
    model, pixels = description["model"], description["extractor"]
    extractor = ImagePreprocessing(pixels["size"], tuple(pixels["mean"]), tuple(pixels["deviation"]))
    if description["library"] == "torchvision":
        backbone = torchvision_body(model["name"], None)
        return TorchvisionVideo(model["name"], backbone, extractor, grad_checkpointing=grad_checkpointing)
    transformers = import_transformers()
    backbone = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**model))
    return VideoMAEFrontend(backbone, extractor, grad_checkpointing=grad_checkpointing)


def cannot_load(name: str, error: Exception) -> ValueError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ValueError(f"the video model {name} can't be loaded: {reason}")
