"""Features of speech: log-mel frames, their normalization, and random changes in training."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from encoders.pretrained.speech_features import SAMPLE_RATE_HZ
from tasks.speech_recognition.config import FeatureConfig, FeatureNormalization, SpeechAugmentConfig

FRAMES_PER_SECOND = 100
MIN_STD = 1e-3  # lower bound of standard deviations, so that a nearly constant feature is not amplified
MIN_FREQUENCY_HZ = 20.0
MIN_ENERGY = 1e-6  # lower bound of energies, so that digital silence has a logarithm

ChangedFrames = tuple[Float[Tensor, "batch changed features"], Bool[Tensor, "batch changed"]]  # of another length


class LogMel:
    """Computes the logarithm of the energy in mel bands. Deterministic."""

    def __init__(self, config: FeatureConfig):
        self.config = config
        self.window_length = round(config.window_s * SAMPLE_RATE_HZ)
        # A power of two, and fine enough for a hundred bands.
        self.fft_length = max(512, 1 << (self.window_length - 1).bit_length())

    @cached_property
    def window(self) -> Float[Tensor, " samples"]:
        return torch.hann_window(self.window_length)

    @cached_property
    def bands(self) -> Float[Tensor, "mels frequencies"]:
        return mel_bands(self.config.num_mels, self.fft_length)

    def __call__(self, samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "frames mels"]:
        """Compute the features of sound at SAMPLE_RATE_HZ. Frames are centered, the first one on the first sample."""
        spectrum = torch.stft(
            torch.from_numpy(samples),
            self.fft_length,
            hop_length=SAMPLE_RATE_HZ // FRAMES_PER_SECOND,
            win_length=self.window_length,
            window=self.window,
            return_complex=True,
        )
        energies = self.bands @ spectrum.abs().square()  # (mels, frames)
        return energies.clamp(min=MIN_ENERGY).log().T.contiguous().numpy()

    def to_config(self) -> dict[str, Any]:
        """Return all settings that the features depend on, in JSON's types."""
        settings = asdict(self.config)
        del settings["normalization"], settings["deltas"]  # applied when batches are made
        return {"preprocessor": "log-mel", "min_energy": MIN_ENERGY, **settings}


def mel_bands(num_mels: int, fft_length: int) -> Float[Tensor, "mels frequencies"]:
    """Return triangles, equally wide on the mel scale, each half over the next one (Davis & Mermelstein 1980).

    The scale is m(f) = 2595 log10(1 + f / 700); the filters lie between MIN_FREQUENCY_HZ and half of the sample rate.
    """
    frequencies = torch.linspace(0, SAMPLE_RATE_HZ / 2, fft_length // 2 + 1, dtype=torch.float64)
    low, high = (2595 * math.log10(1 + frequency / 700) for frequency in (MIN_FREQUENCY_HZ, SAMPLE_RATE_HZ / 2))
    corners = 700 * (10 ** (torch.linspace(low, high, num_mels + 2, dtype=torch.float64) / 2595) - 1)
    widths = corners.diff()[:, None]
    rising = (frequencies - corners[:-2, None]) / widths[:-1]
    falling = (corners[2:, None] - frequencies) / widths[1:]
    return torch.minimum(rising, falling).clamp(min=0).float()


def change_speed(samples: Float[np.ndarray, " samples"], factor: float) -> Float[np.ndarray, " changed"]:
    """Play a sound ``factor`` times as fast, which also raises its pitch (Ko et al. 2015)."""

    from scipy.signal import resample_poly  # scipy takes its time

    return resample_poly(samples, 100, round(factor * 100)).astype(np.float32)


def append_deltas(frames: Float[np.ndarray, "frames features"], num_orders: int) -> Float[np.ndarray, "frames inputs"]:
    """Append the slopes of the features over five frames, the slopes of these, and so on (Furui 1986).

    A slope is that of the regression line; beyond the ends of the utterance its first and last frame are repeated.
    """
    planes = [frames]
    for _ in range(num_orders):
        padded = np.pad(planes[-1], ((2, 2), (0, 0)), mode="edge")
        planes.append((padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10)
    return np.concatenate(planes, axis=1)


@dataclass(frozen=True)
class FeatureNormalizer:
    """Normalizes mean and variance: those of each utterance, those of all training data, or both in this order.

    Args:
        kind: The normalization.
        mean: Mean of each feature in the training data, for ``global`` and ``both``.
        std: Standard deviation of each feature in the training data.
    """

    kind: FeatureNormalization
    mean: Float[Tensor, " features"] | None = None
    std: Float[Tensor, " features"] | None = None

    @classmethod
    def fit(
        cls, kind: FeatureNormalization, utterances: Iterable[Float[np.ndarray, "_ features"]]
    ) -> "FeatureNormalizer":
        """Compute the moments of the training data in one pass, if the kind needs them."""
        if kind in ("none", "utterance"):
            return cls(kind)
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for frames in utterances:
            frames = frames.astype(np.float64)
            if kind == "both":
                frames = (frames - frames.mean(axis=0)) / np.maximum(frames.std(axis=0), MIN_STD)
            count, total, squares = count + len(frames), total + frames.sum(axis=0), squares + (frames**2).sum(axis=0)
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return cls(kind, torch.from_numpy(mean).float(), torch.from_numpy(np.maximum(std, MIN_STD)).float())

    def state_dict(self) -> dict[str, Any]:
        moments = None if self.mean is None or self.std is None else [self.mean.tolist(), self.std.tolist()]
        return {"kind": self.kind, "moments": moments}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "FeatureNormalizer":
        return cls(state["kind"], *map(torch.tensor, state["moments"] or ()))

    def __call__(
        self, values: Float[Tensor, "batch frames features"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames features"]:
        """Normalize a batch. Padding becomes 0, the mean of every feature."""
        real = mask[..., None]
        if self.kind in ("utterance", "both"):
            count = real.sum(dim=1, keepdim=True)
            values = values - values[:, :1]  # makes constant features exactly 0, so that division can't amplify them
            values = (values - (values * real).sum(dim=1, keepdim=True) / count) * real
            std = (values.square().sum(dim=1, keepdim=True) / count).sqrt()
            values = values / std.clamp(min=MIN_STD)
        if self.mean is not None and self.std is not None:
            values = (values - self.mean) / self.std
        return values * real


def augment_frames(
    values: Float[Tensor, "batch frames inputs"],
    mask: Bool[Tensor, "batch frames"],
    config: SpeechAugmentConfig,
    num_planes: int = 1,
) -> ChangedFrames:
    """Stretch and mask a normalized batch at random, by torch's generator. What is masked becomes 0, the mean.

    A feature is masked together with its deltas, which are the other planes.
    """
    if config.stretch:
        values, mask = stretch(values, mask, config.stretch)
    batch_size = len(values)
    num_features = torch.full((batch_size,), values.size(2) // num_planes)
    for axis, size, num_masks, max_width in (
        (1, mask.sum(dim=1), config.num_time_masks, config.time_width),
        (2, num_features, config.num_frequency_masks, config.frequency_width),
    ):
        positions = torch.arange(values.size(axis))
        if axis == 2:
            positions = positions % (values.size(2) // num_planes)
        for _ in range(num_masks):
            width = (torch.rand(batch_size) * ((max_width * size).floor() + 1)).floor()
            start = (torch.rand(batch_size) * (size - width + 1)).floor()
            is_masked = (positions >= start[:, None]) & (positions < (start + width)[:, None])
            values = values.masked_fill(is_masked.unsqueeze(3 - axis), 0.0)
    return values, mask


def stretch(
    values: Float[Tensor, "batch frames features"], mask: Bool[Tensor, "batch frames"], max_share: float
) -> ChangedFrames:
    """Make each utterance longer or shorter by up to a share, by linear interpolation between its frames."""
    lengths = mask.sum(dim=1)
    factors = 1 + max_share * (2 * torch.rand(len(lengths)) - 1)
    new_lengths = (lengths * factors).round().long().clamp(min=2)
    new_frames = torch.arange(int(new_lengths.max()))
    # Position of each new frame among the old ones: the first and the last frame stay where they are.
    position = new_frames * ((lengths - 1) / (new_lengths - 1))[:, None]
    before = position.floor().long().clamp(max=values.size(1) - 1)
    after = (before + 1).minimum((lengths - 1)[:, None]).clamp(min=0)
    share = (position - before)[..., None]
    mask = new_frames < new_lengths[:, None]
    stretched = values.take_along_dim(before[..., None], dim=1) * (1 - share)
    stretched = stretched + values.take_along_dim(after[..., None], dim=1) * share
    return stretched * mask[..., None], mask
