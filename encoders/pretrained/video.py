"""Pretrained video models as frontends: torchvision's convolutional networks, and VideoMAE by transformers."""

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from encoders.base import SourceBatch
from encoders.pretrained.base import (
    check_name,
    config_from_settings,
    import_transformers,
    loading_error,
    transformers_settings,
)
from encoders.pretrained.vision import (
    ImagePreprocessing,
    PretrainedVision,
    load_preprocessing,
    load_torchvision_backbone,
    load_transformers_backbone,
    torchvision_backbone,
)

CLIP_FRAMES = 16  # frames of the clips that torchvision's models were trained on
CHUNK_SIZE = 2  # clips whose activations are in memory at a time, with checkpointing


class PretrainedVideo(PretrainedVision):
    """A video model for uint8 pixels. Each of its states is the mean over the regions of a few frames.

    Clips of one length are computed together and need no padding. A clip that is shorter than the model's input repeats
    its frames at equal distances.
    """

    def __init__(self, backbone: Any, preprocessor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        super().__init__(backbone, preprocessor, grad_checkpointing=grad_checkpointing)
        with torch.no_grad():
            clip = torch.zeros(1, 3, self.resampled_length(1), preprocessor.size, preprocessor.size)
            self.dim = self.forward_features(clip).size(2)

    @abstractmethod
    def resampled_length(self, num_frames: int) -> int:
        """Return the number of frames to which a clip of ``num_frames`` is resampled."""

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 size size"]."""
        lengths = source.mask.sum(dim=1)
        states_of: dict[int, Float[Tensor, "states dim"]] = {}
        for num_frames in lengths.unique().tolist():
            rows = (lengths == num_frames).nonzero().squeeze(1)
            resampled = self.resampled_length(num_frames)
            index = (torch.arange(resampled, device=rows.device) * num_frames).div(resampled, rounding_mode="floor")
            clips = self.normalize(source.values[rows][:, index]).transpose(1, 2)
            states_of |= zip(rows.tolist(), self.checkpointed_forward(clips, CHUNK_SIZE), strict=True)
        states = [states_of[row] for row in range(len(lengths))]
        real = [torch.ones(len(each), dtype=torch.bool, device=each.device) for each in states]
        return pad_sequence(states, batch_first=True), pad_sequence(real, batch_first=True)


class TorchvisionVideo(PretrainedVideo):
    """r3d_18, mc3_18, r2plus1d_18 (Tran et al. 2018) or s3d (Xie et al. 2018), without pooling and classifier."""

    library = "torchvision"

    def __init__(self, name: str, backbone: Any, preprocessor: ImagePreprocessing, *, grad_checkpointing: bool = False):
        self.name = name
        super().__init__(backbone, preprocessor, grad_checkpointing=grad_checkpointing)

    def resampled_length(self, num_frames: int) -> int:
        return max(num_frames, CLIP_FRAMES)

    def forward_features(
        self, pixels: Float[Tensor, "batch 3 frames height width"]
    ) -> Float[Tensor, "batch states dim"]:
        return self.backbone(pixels).mean(dim=(3, 4)).transpose(1, 2)

    def backbone_settings(self) -> dict[str, Any]:
        return {"name": self.name}


class VideoMAEFrontend(PretrainedVideo):
    """VideoMAE (Tong et al. 2022): a Transformer over tubes of two frames, for clips of one fixed length."""

    library = "transformers"

    def resampled_length(self, num_frames: int) -> int:
        return self.backbone.config.num_frames

    def forward_features(
        self, pixels: Float[Tensor, "batch 3 frames height width"]
    ) -> Float[Tensor, "batch states dim"]:
        tubes = self.backbone(pixel_values=pixels.transpose(1, 2)).last_hidden_state
        return tubes.unflatten(1, (pixels.size(2) // self.backbone.config.tubelet_size, -1)).mean(dim=2)

    def backbone_settings(self) -> dict[str, Any]:
        return transformers_settings(self.backbone)


def is_video_model(name: str) -> bool:
    """Return whether ``name`` is a video model and not an image model. Raises ValueError if there is no such model."""
    library, _, torchvision_name = name.rpartition(":")
    try:
        if library == "torchvision":
            from torchvision import models

            return torchvision_name in models.list_models(module=models.video)
        transformers = import_transformers()
        check_name(name)
        return transformers.AutoConfig.from_pretrained(name).model_type == "videomae"
    except ModuleNotFoundError:  # of an extra
        raise
    except Exception as error:  # files, the network and other libraries raise all kinds
        raise loading_error("video", name, error) from error


def load_video_model(name: str, size: int | None = None, *, grad_checkpointing: bool = False) -> PretrainedVideo:
    """Load a model with its weights.

    Args:
        name: A VideoMAE's id on the Hugging Face hub or its folder, or ``torchvision:NAME``, such as
            ``torchvision:r3d_18``.
        size: Side of its frames in pixels; by default the one it was trained on.
        grad_checkpointing: Recompute activations for the gradient instead of keeping them.

    Raises:
        ValueError: The model can't be loaded, or not for frames of this size; the message has one line.
    """
    library, _, torchvision_name = name.rpartition(":")
    try:
        if library == "torchvision":
            backbone, preprocessor = load_torchvision_backbone(torchvision_name, size)
            return TorchvisionVideo(torchvision_name, backbone, preprocessor, grad_checkpointing=grad_checkpointing)
        backbone, preprocessor = load_transformers_backbone(name), load_preprocessing(name, size)
        return VideoMAEFrontend(backbone, preprocessor, grad_checkpointing=grad_checkpointing)
    except ModuleNotFoundError:  # of an extra
        raise
    except Exception as error:  # files, the network and other libraries raise all kinds
        raise loading_error("video", name, error) from error


def video_model_from_config(config: dict[str, Any], *, grad_checkpointing: bool = False) -> PretrainedVideo:
    """Build a model from ``PretrainedFrontend.to_config``, with random weights, which a checkpoint then replaces."""
    model, preprocessor = config["model"], ImagePreprocessing.from_config(config["preprocessor"])
    if config["library"] == "torchvision":
        backbone = torchvision_backbone(model["name"])
        return TorchvisionVideo(model["name"], backbone, preprocessor, grad_checkpointing=grad_checkpointing)
    transformers = import_transformers()
    backbone = transformers.AutoModel.from_config(config_from_settings(model))
    return VideoMAEFrontend(backbone, preprocessor, grad_checkpointing=grad_checkpointing)
