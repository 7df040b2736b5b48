"""Settings of audio-visual speech recognition: those of sound and of lips."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from encoders.config import FusionName
from tasks.common.config import Config
from tasks.common.text.normalization import TextNormalization
from tasks.speech_recognition.config import FeatureConfig, SpeechAugmentConfig, SpeechConfig, SpeechEncoderConfig
from tasks.video_to_text.config import FrameConfig, VideoAugmentConfig, VideoConfig, VideoEncoderConfig


@dataclass(frozen=True, kw_only=True)
class SoundConfig:
    """Settings of the sound and of its encoder, as in speech recognition."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    augment: SpeechAugmentConfig = field(default_factory=SpeechAugmentConfig)
    encoder: SpeechEncoderConfig = field(default_factory=SpeechEncoderConfig)
    encoder_from: str | None = None
    """Run of speech recognition, with the same features and encoder, whose encoder is trained further."""


@dataclass(frozen=True, kw_only=True)
class LipsConfig:
    """Settings of the frames and of their encoder, as in video to text."""

    frames: FrameConfig = field(default_factory=FrameConfig)
    augment: VideoAugmentConfig = field(default_factory=VideoAugmentConfig)
    encoder: VideoEncoderConfig = field(default_factory=VideoEncoderConfig)
    encoder_from: str | None = None
    """Run of video to text, with the same frames and encoder, whose encoder is trained further."""


@dataclass(frozen=True, kw_only=True)
class AudioVisualConfig(Config):
    """Settings of audio-visual speech recognition."""

    text_column: str = "text"
    """Column of the transcripts."""
    text_normalization: TextNormalization = "no_punctuation"
    """Normalization of the transcripts to train on and to score: none, lowercase, or no_punctuation, which also
    lower-cases."""
    fusion: FusionName = "features"
    """States that the decoder attends to: one for each frame, made of what is seen and heard at that time (features,
    after Petridis et al. 2018), or those of both encoders in the order of time (states, Libovický & Helcl 2017)."""
    memory_dim: int = 256
    """Features of these states, which are projected."""
    sound: SoundConfig = field(default_factory=SoundConfig)
    lips: LipsConfig = field(default_factory=LipsConfig)

    def __post_init__(self):
        super().__post_init__()
        if self.memory_dim < 1:
            raise ValueError(f"memory_dim is {self.memory_dim}; allowed is 1 or more")

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        unused = super().unused_settings() | {
            "vocabulary.shared": "the source has no vocabulary",
            "batch.targets_per_source": "a source has one target",
        }
        # A frozen encoder has one variant of the sound; frames are changed at random all the same.
        parts = (
            ("sound", self.sound_config, ("features.", "augment.", "encoder.")),
            ("lips", self.lips_config, ("frames.", "encoder.")),
        )
        for part, config, groups in parts:
            unused |= {
                f"{part}.{name}": why for name, why in config.unused_settings().items() if name.startswith(groups)
            }
        return unused

    @property
    def has_pretrained_encoder(self) -> bool:
        return self.sound_config.has_pretrained_encoder or self.lips_config.has_pretrained_encoder

    @property
    def sound_config(self) -> SpeechConfig:
        """The configuration of speech recognition with these settings."""
        return SpeechConfig(**self.shared_settings, **settings_of_part(self.sound))

    @property
    def lips_config(self) -> VideoConfig:
        """The configuration of video to text with these settings."""
        return VideoConfig(**self.shared_settings, **settings_of_part(self.lips), metric_set="words")

    @property
    def shared_settings(self) -> dict[str, Any]:
        names = [each.name for each in dataclasses.fields(Config)]
        return {name: getattr(self, name) for name in [*names, "text_normalization"]}


def settings_of_part(part: SoundConfig | LipsConfig) -> dict[str, Any]:
    """Return the settings that the part's own task has as well."""
    return {name: value for name, value in vars(part).items() if name != "encoder_from"}
