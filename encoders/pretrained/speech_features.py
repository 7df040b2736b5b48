"""Inputs of pretrained speech models: frames computed from sound, always the same, so that they can be cached."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32

from encoders.pretrained.base import import_transformers

SAMPLE_RATE_HZ = 16_000  # of the sound that all these models were trained on
HOP_LENGTH = 160  # samples of a frame: there are 100 frames per second
MIN_FRAMES = 3  # the first state of the models of waveforms needs 25 ms


@dataclass(frozen=True)
class WaveformFrames:
    """The waveform, HOP_LENGTH samples per frame.

    Args:
        normalize: Scale each sound to mean 0 and variance 1 first, as some models were trained.
        epsilon: Added to the variance.
    """

    normalize: bool
    epsilon: float = 1e-7

    def __call__(self, samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, "frames features"]:
        """Compute the frames of sound at SAMPLE_RATE_HZ."""
        if self.normalize:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(self.epsilon))
        return pad_to_whole_frames(samples).reshape(-1, HOP_LENGTH)

    def to_config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class WhisperLogMel:
    """Whisper's log-mel features, without its padding to 30 s.

    Args:
        settings: Settings of transformers' WhisperFeatureExtractor.
        max_frames: Frames for which the backbone has position embeddings.
    """

    settings: dict[str, Any]
    max_frames: int

    @cached_property
    def transform(self) -> Any:
        return import_transformers().WhisperFeatureExtractor.from_dict(self.settings)

    def __call__(self, samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, "frames features"]:
        """Compute the frames of sound at SAMPLE_RATE_HZ. Raises ValueError if there are more than ``max_frames``."""
        samples = pad_to_whole_frames(samples)
        if len(samples) > HOP_LENGTH * self.max_frames:
            seconds, max_seconds = (count / SAMPLE_RATE_HZ for count in (len(samples), HOP_LENGTH * self.max_frames))
            raise ValueError(
                f"the sound lasts {seconds:.2f} s; allowed for this model are at most {max_seconds:g} s: split it"
            )
        features = self.transform(samples, sampling_rate=SAMPLE_RATE_HZ, padding="do_not_pad", truncation=False)
        return np.ascontiguousarray(features["input_features"][0].T)

    def to_config(self) -> dict[str, Any]:
        return asdict(self)


def pad_to_whole_frames(samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, " padded"]:
    """Append silence up to the next whole frame, and to MIN_FRAMES."""
    num_frames = max(MIN_FRAMES, -(-len(samples) // HOP_LENGTH))
    return np.pad(samples, (0, num_frames * HOP_LENGTH - len(samples)))
