"""Settings of image captioning."""

from dataclasses import dataclass, field

from tasks.common.captioning_config import CaptioningConfig, VisionEncoderConfig
from tasks.common.data.limits import MAX_SIDE


@dataclass(frozen=True)
class ImageEncoderConfig(VisionEncoderConfig):
    """Settings of the image encoder: a pretrained or a small network, and a sequence encoder over its feature map."""

    size: int = field(default=0, kw_only=True)
    """Height and width of the input image in pixels (0: the pretrained model's, or 64 when training from scratch)."""

    def allowed_settings(self) -> dict[str, tuple[bool, str]]:
        return super().allowed_settings() | {"size": (0 <= self.size <= MAX_SIDE, f"0 to {MAX_SIDE}")}


@dataclass(frozen=True, kw_only=True)
class ImageConfig(CaptioningConfig):
    """Settings of image captioning."""

    encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)

    def pixel_settings(self) -> list[str]:
        return [*super().pixel_settings(), "encoder.size"]
