"""Settings of speech recognition: features of sound, their augmentation, the encoder."""

import dataclasses
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Literal

import tyro

from attention.validation import at_least, check_settings
from encoders.config import RecurrentEncoderConfig, SequenceEncoderConfig
from tasks.common.config import Config
from tasks.common.text.normalization import TextNormalization

FeatureNormalization = Literal["none", "utterance", "global", "both"]


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """Settings of the log-mel features; there are 100 frames per second."""

    num_mels: int = 80
    """Mel bands."""
    window_s: float = 0.025
    """Length of the window of a frame in seconds."""
    normalization: FeatureNormalization = "utterance"
    """Scale each feature to mean 0 and variance 1: over each utterance, which removes differences in microphone and
    loudness; over all training data (global), which keeps them; or both, in this order."""
    deltas: int = 0
    """Append the change of each feature over time (1), and the change of that change as well (2)."""

    def __post_init__(self):
        allowed = {
            "deltas": (0 <= self.deltas <= 2, "0 to 2"),
            "num_mels": (4 <= self.num_mels <= 100, "4 to 100"),
            "window_s": (0.01 <= self.window_s <= 0.05, "0.01 to 0.05"),
        }
        check_settings("features", self, allowed)


@dataclass(frozen=True, kw_only=True)
class SpeechAugmentConfig:
    """Random changes of training utterances."""

    speeds: tuple[float, ...] = (1.0,)
    """Speeds at which each utterance is played, 0.9 1.0 1.1 for instance (Ko et al. 2015); all of them are cached."""
    babble_snrs: tuple[float, ...] = ()
    """Signal-to-noise ratios in dB, 10 0 for instance, at which babble, other recordings all at once, is added to each
    utterance (Snyder et al. 2015). It is read with one of them or without noise, at random; all are cached."""
    stretch: float = 0.0
    """Make utterances longer or shorter by up to this share, at random (after Nguyen et al. 2020)."""
    num_frequency_masks: int = 2
    """Bands of adjacent features that are masked (SpecAugment, Park et al. 2019)."""
    frequency_width: float = 0.2
    """Maximum width of a frequency mask, as a share of the features."""
    num_time_masks: int = 2
    """Spans of time that are masked (SpecAugment)."""
    time_width: float = 0.07
    """Maximum width of a time mask, as a share of the utterance."""

    def __post_init__(self):
        allowed = at_least(0, self, "num_frequency_masks", "num_time_masks")
        are_valid_speeds = len(self.speeds) > 0 and all(0.5 <= speed <= 2 for speed in self.speeds)
        allowed["speeds"] = are_valid_speeds, "0.5 to 2 each"
        allowed["babble_snrs"] = all(-30 <= snr_db <= 60 for snr_db in self.babble_snrs), "-30 to 60 each"
        for name in ("stretch", "frequency_width", "time_width"):
            allowed[name] = (0 <= getattr(self, name) <= 0.5, "0 to 0.5")
        check_settings("augment", self, allowed)

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused: dict[str, str] = {}
        if not self.num_frequency_masks:
            unused["frequency_width"] = "augment.num_frequency_masks is 0"
        if not self.num_time_masks:
            unused["time_width"] = "augment.num_time_masks is 0"
        return unused


def three_recurrent_layers() -> RecurrentEncoderConfig:
    return RecurrentEncoderConfig(num_layers=3)


@dataclass(frozen=True)
class SpeechEncoderConfig:
    """Settings of the speech encoder: a pretrained network or convolutions, and the sequence encoder after it.

    ``dropout`` of the sequence encoder is also that between its layers.
    """

    sequence: Annotated[SequenceEncoderConfig, tyro.conf.arg(name="")] = field(default_factory=three_recurrent_layers)
    _: KW_ONLY
    pretrained: str | None = None
    """Folder or hub id of a wav2vec 2.0, HuBERT, WavLM or Whisper, in place of the convolutions; it is frozen unless
    train.encoder_lr is set."""
    num_conv_layers: int = 2
    """Layers of 3 x 3 convolutions over time and frequency, each of which halves both (0: none)."""
    channels: int = 32
    """Channels of the convolutions."""
    pyramid_layers: int = 0
    """Layers, from the second one on, that take their input states in pairs, which halves time (Chan et al. 2016)."""

    def __post_init__(self):
        num_layers = self.sequence.num_layers
        allowed = at_least(1, self, "channels") | at_least(0, self, "num_conv_layers")
        is_possible = 0 <= self.pyramid_layers < num_layers
        allowed["pyramid_layers"] = is_possible, f"0 to one less than encoder.num_layers, {num_layers - 1}"
        check_settings("encoder", self, allowed)

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        if self.pretrained is not None:
            return dict.fromkeys(("num_conv_layers", "channels"), "encoder.pretrained is set")
        return {} if self.num_conv_layers else {"channels": "encoder.num_conv_layers is 0"}


@dataclass(frozen=True, kw_only=True)
class SpeechConfig(Config):
    """Settings of speech recognition."""

    num_scenes: int = 3000
    """Training utterances of the toy world, where data is not set."""
    text_column: str = "text"
    """Column of the transcripts."""
    text_normalization: TextNormalization = "no_punctuation"
    """Normalization of the transcripts to train on and to score: none, lowercase, or no_punctuation, which also
    lower-cases."""
    features: FeatureConfig = field(default_factory=FeatureConfig)
    augment: SpeechAugmentConfig = field(default_factory=SpeechAugmentConfig)
    encoder: SpeechEncoderConfig = field(default_factory=SpeechEncoderConfig)

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        unused = super().unused_settings() | {
            "vocabulary.shared": "the source has no vocabulary",
            "batch.targets_per_source": "a source has one target",
        }
        unused |= {"text_column": "data is not set"} if self.data is None else {"num_scenes": "data is set"}
        if self.encoder.pretrained is None:
            return unused
        features = [f"features.{each.name}" for each in dataclasses.fields(self.features)]
        variants = ("augment.speeds", "augment.babble_snrs")  # of the sound itself
        augment = {f"augment.{each.name}" for each in dataclasses.fields(self.augment)}.difference(variants)
        unused |= dict.fromkeys([*features, *augment], "encoder.pretrained is set")
        if not self.train.encoder_lr:
            unused |= dict.fromkeys(variants, "encoder.pretrained is frozen, since train.encoder_lr is 0")
        return unused
