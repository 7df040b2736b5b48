"""What an encoder reads of a sound: log-mel features, their normalisation, and what training changes at random."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

from attention.validation import at_least, check_settings

RATE = 16_000  # Hz, of all sound inside
FRAMES = 100  # a second
STEADY = 1e-3  # deviations below it are taken for it: a feature that hardly changes is not blown up
FLOOR = 1e-6  # energies below it are taken for it, so that digital silence has a logarithm

TextNormalization = Literal["none", "utterance", "global", "both"]
Changed = tuple[Float[Tensor, "batch changed features"], Bool[Tensor, "batch changed"]]  # in length too


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    mels: int = 80
    """Bands of the mel scale."""
    window: float = 0.025
    """Seconds that a frame looks at; there are 100 frames a second."""
    normalize_text: TextNormalization = "utterance"
    """Bring each feature to mean 0 and variance 1: over the utterance, which takes microphone and loudness away; over
    all training data, which keeps them; or first one and then the other."""

    def __post_init__(self):
        allowed = {"mels": (4 <= self.mels <= 100, "4 to 100"), "window": (0.01 <= self.window <= 0.05, "0.01 to 0.05")}
        check_settings("features", self, allowed)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What training changes in its examples."""

    speeds: tuple[float, ...] = (1.0,)
    """Each example is spoken at one of these, 0.9 1.0 1.1 for instance (Ko et al. 2015); all are kept on disk."""
    stretch: float = 0.0
    """Up to this share longer or shorter, by a new factor each time (after Nguyen et al. 2020)."""
    frequency_masks: int = 2
    """SpecAugment (Park et al. 2019): bands of neighbouring features that are blanked."""
    frequency_width: float = 0.2
    """Up to this share of the features in each."""
    time_masks: int = 2
    """SpecAugment: stretches of time that are blanked."""
    time_width: float = 0.07
    """Up to this share of the utterance in each."""

    def __post_init__(self):
        allowed = at_least(0, self, "frequency_masks", "time_masks")
        allowed["speeds"] = (len(self.speeds) > 0 and all(0.5 <= speed <= 2 for speed in self.speeds), "0.5 to 2 each")
        for name in ("stretch", "frequency_width", "time_width"):
            allowed[name] = (0 <= getattr(self, name) <= 0.5, "0 to 0.5")
        check_settings("augment", self, allowed)


class LogMel:
    """Sound to the logarithm of its energy in bands of the mel scale, FRAMES a second. Always the same for the same."""

    def __init__(self, config: FeatureConfig):
        self.config = config

    @cached_property
    def transform(self) -> MelSpectrogram:
        window = round(self.config.window * RATE)
        # Size of the Fourier transform: a power of two, and fine enough for a hundred bands.
        size = max(512, 1 << (window - 1).bit_length())
        return MelSpectrogram(
            RATE, n_fft=size, win_length=window, hop_length=RATE // FRAMES, f_min=20.0, n_mels=self.config.mels
        )

    def __call__(self, samples: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "frames mels"]:
        energies = self.transform(torch.from_numpy(samples))  # (mels, frames)
        return energies.clamp(min=FLOOR).log().T.contiguous().numpy()

    def to_config(self) -> dict[str, Any]:
        settings = asdict(self.config)
        del settings["normalise"]  # comes later
        return {"extractor": "log-mel", "floor": FLOOR, **settings}


def change_speed(samples: Float[np.ndarray, " samples"], factor: float) -> Float[np.ndarray, " changed"]:
    """The sound played ``factor`` times as fast, and so as much higher (Ko et al. 2015)."""
    return resample(torch.from_numpy(samples), round(factor * 100), 100).numpy()


@dataclass(frozen=True)
class FeatureNormalizer:
    """Mean-variance normalisation: by each utterance's own moments, by those of all training data, or both in turn."""

    kind: TextNormalization
    mean: Float[Tensor, " features"] | None = None
    deviation: Float[Tensor, " features"] | None = None

    @classmethod
    def fit(cls, kind: TextNormalization, utterances: Iterable[Float[np.ndarray, "_ features"]]) -> "FeatureNormalizer":
        """Go over the training data once, if the kind asks for it."""
        if kind in ("none", "utterance"):
            return cls(kind)
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for frames in utterances:
            frames = frames.astype(np.float64)
            if kind == "both":
                frames = (frames - frames.mean(axis=0)) / np.maximum(frames.std(axis=0), STEADY)
            count, total, squares = count + len(frames), total + frames.sum(axis=0), squares + (frames**2).sum(axis=0)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return cls(kind, torch.from_numpy(mean).float(), torch.from_numpy(np.maximum(deviation, STEADY)).float())

    def state_dict(self) -> dict[str, Any]:
        numbers = None if self.mean is None or self.deviation is None else [self.mean.tolist(), self.deviation.tolist()]
        return {"kind": self.kind, "moments": numbers}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> "FeatureNormalizer":
        return cls(state["kind"], *map(torch.tensor, state["moments"] or ()))

    def __call__(
        self, values: Float[Tensor, "batch frames features"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames features"]:
        """Padding becomes 0, which is every feature's mean."""
        real = mask[..., None]
        if self.kind in ("utterance", "both"):
            count = real.sum(dim=1, keepdim=True)
            values = values - values[:, :1]  # what never changes is 0 to the last digit, so nothing can enlarge it
            values = (values - (values * real).sum(dim=1, keepdim=True) / count) * real
            deviation = (values.square().sum(dim=1, keepdim=True) / count).sqrt()
            values = values / deviation.clamp(min=STEADY)
        if self.mean is not None and self.deviation is not None:
            values = (values - self.mean) / self.deviation
        return values * real


def augment(
    values: Float[Tensor, "batch frames features"], mask: Bool[Tensor, "batch frames"], config: AugmentConfig
) -> Changed:
    """Stretch and blank a normalised batch at random, by torch's generator. What is blanked becomes 0, the mean."""
    if config.stretch:
        values, mask = stretch(values, mask, config.stretch)
    batch = len(values)
    bands = torch.full((batch,), values.size(2))
    for axis, size, number, width in (
        (1, mask.sum(dim=1), config.time_masks, config.time_width),
        (2, bands, config.frequency_masks, config.frequency_width),
    ):
        places = torch.arange(values.size(axis))
        for _ in range(number):
            extent = (torch.rand(batch) * ((width * size).floor() + 1)).floor()
            start = (torch.rand(batch) * (size - extent + 1)).floor()
            blank = (places >= start[:, None]) & (places < (start + extent)[:, None])
            values = values.masked_fill(blank.unsqueeze(3 - axis), 0.0)
    return values, mask


def stretch(values: Float[Tensor, "batch frames features"], mask: Bool[Tensor, "batch frames"], most: float) -> Changed:
    """Each utterance a little longer or shorter, by linear interpolation between its frames."""
    lengths = mask.sum(dim=1)
    factors = 1 + most * (2 * torch.rand(len(lengths)) - 1)
    stretched = (lengths * factors).round().long().clamp(min=2)
    places = torch.arange(int(stretched.max()))
    # Position of each new frame among the old ones: ends stay ends.
    position = places * ((lengths - 1) / (stretched - 1))[:, None]
    before = position.floor().long().clamp(max=values.size(1) - 1)
    behind = (before + 1).minimum((lengths - 1)[:, None]).clamp(min=0)
    share = (position - before)[..., None]
    mask = places < stretched[:, None]
    mixed = values.take_along_dim(before[..., None], dim=1) * (1 - share)
    mixed = mixed + values.take_along_dim(behind[..., None], dim=1) * share
    return mixed * mask[..., None], mask
