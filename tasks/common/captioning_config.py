"""The settings that image captioning and video to text share."""

import dataclasses
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated

import tyro

from attention.validation import check_settings
from encoders.config import NUM_GROUPS, NoSequenceEncoderConfig, SequenceEncoderConfig, are_valid_channels
from tasks.common.config import Config
from tasks.common.text.normalization import TextNormalization


@dataclass(frozen=True, kw_only=True)
class ImageAugmentConfig:
    """Random changes of training images."""

    crop: float = 0.0
    """Crop up to this share of the width and of the height, sampled each time."""
    flip: bool = False
    """Mirror half of the images; use it only where no caption distinguishes left and right."""
    color: float = 0.0
    """Change brightness and contrast by up to this share."""

    def __post_init__(self):
        allowed = {name: (0 <= getattr(self, name) <= 0.5, "0 to 0.5") for name in ("crop", "color")}
        check_settings("augment", self, allowed)


VisionSequenceConfig = NoSequenceEncoderConfig | SequenceEncoderConfig


@dataclass(frozen=True)
class VisionEncoderConfig:
    """Settings that the encoders of images and of videos share.

    ``hidden_dim``, ``dropout`` and ``pooling`` of the sequence encoder are also those of the projection before it.
    """

    sequence: Annotated[VisionSequenceConfig, tyro.conf.arg(name="")] = field(default_factory=NoSequenceEncoderConfig)
    _: KW_ONLY
    pretrained: str | None = None
    """Folder or hub id of a pretrained model, or torchvision:NAME; it is frozen unless train.encoder_lr is set. Without
    it a small convolutional network is trained from scratch."""
    channels: tuple[int, ...] = (32, 64, 128)
    """Channels of the layers of a network from scratch, each of which halves both sides."""
    grad_checkpointing: bool = False
    """Recompute the activations of a fine-tuned pretrained model instead of keeping them: slower, in less memory."""

    def __post_init__(self):
        check_settings("encoder", self, self.allowed_settings())

    def allowed_settings(self) -> dict[str, tuple[bool, str]]:
        """Describe the allowed values, for ``check_settings``."""
        return {"channels": (are_valid_channels(self.channels), f"one or more multiples of {NUM_GROUPS}")}

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        if self.pretrained is None:
            return {"grad_checkpointing": "encoder.pretrained is not set"}
        return {"channels": "encoder.pretrained is set"}


@dataclass(frozen=True, kw_only=True)
class CaptioningConfig(Config):
    """Settings that image captioning and video to text share."""

    num_scenes: int = 8000
    """Training examples of the toy world, where data is not set."""
    caption_column: str = "captions"
    """Column of the captions."""
    text_normalization: TextNormalization = "no_punctuation"
    """Normalization of the captions to train on: none, lowercase, or no_punctuation, which also lower-cases."""
    augment: ImageAugmentConfig = field(default_factory=ImageAugmentConfig)
    encoder: VisionEncoderConfig = field(default_factory=VisionEncoderConfig)

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        unused = super().unused_settings() | {"vocabulary.shared": "the source has no vocabulary"}
        if self.data is None:
            unused["caption_column"] = "data is not set"
            unused["batch.targets_per_source"] = "data is not set, so a source has one target"
        else:
            unused["num_scenes"] = "data is set"
        if self.encoder.pretrained is not None and not self.train.encoder_lr:
            settings = [f"augment.{each.name}" for each in dataclasses.fields(self.augment)]
            unused |= dict.fromkeys(("encoder.grad_checkpointing", *settings), "train.encoder_lr is 0")
        return unused

    def pixel_settings(self) -> list[str]:
        """List the settings of how images or videos are read and encoded, which features do not depend on."""
        return [*(f"augment.{each.name}" for each in dataclasses.fields(self.augment)), "encoder.channels"]
