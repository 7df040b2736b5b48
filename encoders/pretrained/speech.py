"""Pretrained speech models as front ends: wav2vec 2.0, HuBERT, WavLM and Whisper's encoder."""

import contextlib
import json
import sys
import warnings
from abc import abstractmethod
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from encoders.base import SourceBatch
from encoders.pretrained.base import PretrainedFrontend, backbone_config, import_transformers

RATE = 16_000  # Hz, of what all these models were trained on
HOP = 160  # samples a frame, so there are 100 frames a second
SHORTEST = 3  # frames: the models that read samples look at 25 ms for their first state
WAVEFORM_MODELS = ("wav2vec2", "hubert", "wavlm")


# ── From sound to frames: always the same for the same sound, so it can be kept ─────────────────────────────


@dataclass(frozen=True)
class WaveformFrames:
    """The sound itself, HOP samples a frame, brought to mean 0 and variance 1 first if the model was trained so."""

    normalize_text: bool
    epsilon: float = 1e-7

    def __call__(self, samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, "frames features"]:
        if self.normalize_text:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(self.epsilon))
        return whole_frames(samples).reshape(-1, HOP)

    def to_config(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class WhisperLogMel:
    """Whisper's own log-mel features, without its padding to 30 s.

    ``settings`` are those of transformers' WhisperFeatureExtractor; the body has positions for ``longest`` frames.
    """

    settings: dict[str, Any]
    longest: int

    @cached_property
    def transform(self) -> Any:
        return import_transformers().WhisperFeatureExtractor.from_dict(self.settings)

    def __call__(self, samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, "frames features"]:
        """Raises ValueError for more sound than the model has positions for."""
        samples = whole_frames(samples)
        if len(samples) > HOP * self.longest:
            seconds, most = len(samples) / RATE, HOP * self.longest / RATE
            raise ValueError(f"the sound lasts {seconds:.2f} s, and this model reads {most:g} s at most: cut it")
        features = self.transform(samples, sampling_rate=RATE, padding="do_not_pad", truncation=False)
        return np.ascontiguousarray(features["input_features"][0].T)

    def to_config(self) -> dict[str, Any]:
        return asdict(self)


def whole_frames(samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, " padded"]:
    """Silence added at the end, up to the next whole frame."""
    frames = max(SHORTEST, -(-len(samples) // HOP))
    return np.pad(samples, (0, frames * HOP - len(samples)))


# ── From frames to states ───────────────────────────────────────────────────────────────────────────────────


class PretrainedSpeech(PretrainedFrontend):
    """Frames of ``features`` numbers, which the extractor makes of sound, to states."""

    extractor: WaveformFrames | WhisperLogMel

    def __init__(self, backbone: Any, extractor: WaveformFrames | WhisperLogMel, *, features: int, dim: int):
        super().__init__(backbone, dim)
        self.extractor = extractor
        self.features = features

    def extract(self, samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, "frames features"]:
        """Sound of RATE Hz to 100 frames a second."""
        return self.extractor(samples)


class WhisperFrontend(PretrainedSpeech):
    """Whisper's encoder (Radford et al. 2023), run on the sound as long as it is, not on 30 s for each.

    The body never saw sound that ends before its last position, so its states are not quite those of the padded run;
    but a state costs what its own utterance is long, and none stands for silence that nobody recorded.
    """

    library = "transformers"

    def __init__(self, backbone: Any, extractor: WhisperLogMel):
        super().__init__(backbone, extractor, features=backbone.config.num_mel_bins, dim=backbone.config.d_model)

    def requires_grad_(self, requires_grad: bool = True) -> "WhisperFrontend":
        super().requires_grad_(requires_grad)
        self.backbone.embed_positions.requires_grad_(False)  # sinusoids, which are not learned
        return self

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        real = source.mask[:, None]
        states = source.values.transpose(1, 2) * real  # (batch, mels, frames)
        states = functional.gelu(self.backbone.conv1(states)) * real
        states = functional.gelu(self.backbone.conv2(states)).transpose(1, 2)  # (batch, states, dim)
        mask = source.mask[:, ::2]
        states = states + self.backbone.embed_positions.weight[: states.size(1)]
        states = functional.dropout(states, self.backbone.dropout, self.training)
        hidden = torch.zeros_like(mask, dtype=states.dtype).masked_fill(~mask, torch.finfo(states.dtype).min)
        for layer in self.backbone.layers:
            states = layer(states, hidden[:, None, None])
        return self.backbone.layer_norm(states), mask

    def output_lengths(self, frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return (frames + 1) // 2

    def backbone_settings(self) -> dict[str, Any]:
        return backbone_config(self.backbone)


class WaveformFrontend(PretrainedSpeech):
    """A body that reads samples: convolutions, one state for 20 ms, and a Transformer over these states.

    Some bodies (wav2vec 2.0 Base, for one) normalise a channel over time, padding and all. Their convolutions read
    one utterance after the other, so that padding changes nothing there either.
    """

    def __init__(self, backbone: Any, extractor: WaveformFrames, *, dim: int, convolutions: list[tuple[int, int]]):
        super().__init__(backbone, extractor, features=HOP, dim=dim)
        self.convolutions = convolutions  # kernel and stride of each
        self.one_by_one = any(isinstance(module, nn.GroupNorm) for module in backbone.modules())

    @abstractmethod
    def convolve(self, samples: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch states channels"]:
        """The convolutions alone."""

    @abstractmethod
    def encode_context(
        self, states: Float[Tensor, "batch states channels"], mask: Bool[Tensor, "batch states"]
    ) -> Float[Tensor, "batch states dim"]:
        """The Transformer alone."""

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values`` are rows of HOP samples, each utterance's at least SHORTEST, as ``extract`` makes them."""
        frames = source.mask.sum(dim=1)
        samples = source.values.flatten(1)
        if self.one_by_one:
            utterances = zip(samples, (HOP * frames).tolist(), strict=True)
            alone = [self.convolve(utterance[None, :length])[0] for utterance, length in utterances]
            states = pad_sequence(alone, batch_first=True)
        else:
            states = self.convolve(samples)
        mask = torch.arange(states.size(1), device=states.device) < self.output_lengths(frames)[:, None]
        return self.encode_context(states, mask), mask

    def output_lengths(self, frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        lengths = HOP * frames
        for kernel, stride in self.convolutions:
            lengths = (lengths - kernel) // stride + 1
        return lengths


class TransformersWaveform(WaveformFrontend):
    """wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al. 2021) or WavLM (Chen et al. 2022), by transformers.

    Not exact in a padded batch are the few HuBERTs with a batch norm before their position embedding.
    """

    library = "transformers"

    def __init__(self, backbone: Any, extractor: WaveformFrames):
        config = backbone.config
        convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        super().__init__(backbone, extractor, dim=config.hidden_size, convolutions=convolutions)

    def convolve(self, samples: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch states channels"]:
        return self.backbone.feature_extractor(samples).transpose(1, 2)

    def encode_context(
        self, states: Float[Tensor, "batch states channels"], mask: Bool[Tensor, "batch states"]
    ) -> Float[Tensor, "batch states dim"]:
        projected = self.backbone.feature_projection(states)
        projected = projected if isinstance(projected, Tensor) else projected[0]  # HuBERT returns nothing beside it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # WavLM gives torch masks of two types, which it will not take for ever
            return self.backbone.encoder(projected, attention_mask=mask)[0]

    def backbone_settings(self) -> dict[str, Any]:
        return backbone_config(self.backbone)


class TorchaudioWaveform(WaveformFrontend):
    """wav2vec 2.0 or HuBERT, by torchaudio."""

    library = "torchaudio"

    def __init__(self, backbone: Any, extractor: WaveformFrames, settings: dict[str, Any]):
        convolutions = [(kernel, stride) for _, kernel, stride in settings["extractor_conv_layer_config"]]
        super().__init__(backbone, extractor, dim=settings["encoder_embed_dim"], convolutions=convolutions)
        self.settings = settings

    def convolve(self, samples: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch states channels"]:
        return self.backbone.feature_extractor(samples, None)[0]

    def encode_context(
        self, states: Float[Tensor, "batch states channels"], mask: Bool[Tensor, "batch states"]
    ) -> Float[Tensor, "batch states dim"]:
        return self.backbone.encoder(states, mask.sum(dim=1))

    def backbone_settings(self) -> dict[str, Any]:
        return self.settings


# ── Loading and rebuilding ──────────────────────────────────────────────────────────────────────────────────


def load_speech_model(name: str) -> PretrainedSpeech:
    """A model with its weights: by its id on the hub, its folder, or as ``torchaudio:WAV2VEC2_BASE``.

    Raises ValueError, in one line, for whatever can't be loaded.
    """
    library, _, bundle = name.rpartition(":")
    try:
        return load_torchaudio(bundle) if library == "torchaudio" else load_transformers(name)
    except Exception as error:  # of files, of the network, of code that is not ours
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"the speech model {name} can't be loaded: {reason}") from error


def speech_model_from_config(description: dict[str, Any]) -> PretrainedSpeech:
    """What ``PretrainedFrontend.to_config`` described, with random weights: those of a trained run are loaded afterwards."""
    model, extractor = description["model"], description["extractor"]
    if description["library"] == "torchaudio":
        from torchaudio.models import wav2vec2_model

        return TorchaudioWaveform(wav2vec2_model(**model), WaveformFrames(**extractor), model)
    config = import_transformers().AutoConfig.for_model(**model)
    if config.model_type == "whisper":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperFrontend(WhisperEncoder(config), WhisperLogMel(**extractor))
    return TransformersWaveform(import_transformers().AutoModel.from_config(config), WaveformFrames(**extractor))


def load_transformers(name: str) -> PretrainedSpeech:
    transformers = import_transformers()
    config = transformers.AutoConfig.from_pretrained(name)
    whisper = config.model_type == "whisper"
    if not whisper and config.model_type not in WAVEFORM_MODELS:
        raise ValueError(f"it is a {config.model_type}; allowed are {', '.join(WAVEFORM_MODELS)} and whisper")
    # Layers left out and masks drawn at random belong to their pretraining; a parameter that such an update leaves
    # without a gradient would stop a training by several processes. An adapter after the Transformer is not wanted.
    vars(config).update(layerdrop=0.0, mask_time_prob=0.0, mask_feature_prob=0.0, add_adapter=False)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(name)
    if extractor.sampling_rate != RATE:
        raise ValueError(f"it reads sound of {extractor.sampling_rate} Hz; allowed is {RATE}")
    backbone, report = transformers.AutoModel.from_pretrained(name, config=config, output_loading_info=True)
    missing = [key for key in report["missing_keys"] if not (whisper and key.startswith("decoder."))]
    if missing:
        raise ValueError(f"it has no weights for {missing[0]} and {len(missing) - 1} others")
    if whisper:
        settings = json.loads(extractor.to_json_string())
        return WhisperFrontend(backbone.get_encoder(), WhisperLogMel(settings, longest=2 * config.max_source_positions))
    return TransformersWaveform(backbone, WaveformFrames(extractor.do_normalize))


def load_torchaudio(name: str) -> PretrainedSpeech:
    """Its WavLM takes no mask, so a batch can't be padded; transformers' does."""
    from torchaudio import pipelines

    bundles = {
        key: bundle
        for key, bundle in vars(pipelines).items()
        if isinstance(bundle, pipelines.Wav2Vec2Bundle) and bundle._model_type == "Wav2Vec2"
    }
    if name not in bundles:
        raise ValueError(f"torchaudio has no such model that could be used; it has {', '.join(sorted(bundles))}")
    with contextlib.redirect_stdout(sys.stderr):  # where it says what it downloads
        backbone: Any = bundles[name].get_model(dl_kwargs={"progress": False})
    normalize_text = getattr(backbone, "normalize_waveform", False)  # a wrapper does this, but to a batch as a whole
    backbone = getattr(backbone, "model", backbone)
    backbone.aux = None  # the letters that it was trained to tell
    backbone.encoder.transformer.layer_drop = 0.0  # see load_transformers
    settings = bundles[name]._params | {"encoder_layer_drop": 0.0, "aux_num_out": None}
    return TorchaudioWaveform(backbone, WaveformFrames(normalize_text, epsilon=1e-5), settings)
