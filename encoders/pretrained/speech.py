"""Pretrained speech models as frontends: wav2vec 2.0, HuBERT, WavLM and Whisper's encoder."""

import json
import warnings
from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from encoders.base import SourceBatch
from encoders.pretrained.base import (
    PretrainedFrontend,
    check_complete,
    check_name,
    config_from_settings,
    import_transformers,
    loading_error,
    transformers_settings,
)
from encoders.pretrained.speech_features import HOP_LENGTH, SAMPLE_RATE_HZ, WaveformFrames, WhisperLogMel

WAVEFORM_MODELS = ("wav2vec2", "hubert", "wavlm")  # model types of transformers


class PretrainedSpeech(PretrainedFrontend):
    """A speech model. Its ``preprocessor`` computes frames of ``num_features``, 100 per second, from sound."""

    preprocessor: WaveformFrames | WhisperLogMel

    def __init__(self, backbone: Any, preprocessor: WaveformFrames | WhisperLogMel, *, num_features: int, dim: int):
        super().__init__(backbone, preprocessor, dim)
        self.num_features = num_features


class WhisperFrontend(PretrainedSpeech):
    """Whisper's encoder (Radford et al. 2023), on sound of any length instead of sound padded to 30 s.

    The backbone was not trained on sound that ends before its last position, so its states differ slightly from those
    of the padded sound. In exchange the cost grows with the length of the utterance, and no state is padding.
    """

    library = "transformers"

    def __init__(self, backbone: Any, preprocessor: WhisperLogMel):
        config = backbone.config
        super().__init__(backbone, preprocessor, num_features=config.num_mel_bins, dim=config.d_model)

    def requires_grad_(self, requires_grad: bool = True) -> "WhisperFrontend":
        super().requires_grad_(requires_grad)
        self.backbone.embed_positions.requires_grad_(False)  # sinusoids, which are not learned
        return self

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: Float[Tensor, "batch frames mels"]."""
        real = source.mask[:, None]
        states = source.values.transpose(1, 2) * real  # (batch, mels, frames)
        states = functional.gelu(self.backbone.conv1(states)) * real
        states = functional.gelu(self.backbone.conv2(states)).transpose(1, 2)  # (batch, states, dim)
        mask = source.mask[:, ::2]
        states = states + self.backbone.embed_positions.weight[: states.size(1)]
        states = functional.dropout(states, self.backbone.dropout, self.training)
        padding_bias = torch.zeros_like(mask, dtype=states.dtype).masked_fill(~mask, torch.finfo(states.dtype).min)
        for layer in self.backbone.layers:
            states = layer(states, padding_bias[:, None, None])
        return self.backbone.layer_norm(states), mask

    def output_lengths(self, num_frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return (num_frames + 1) // 2

    def backbone_settings(self) -> dict[str, Any]:
        return transformers_settings(self.backbone)


class WaveformFrontend(PretrainedSpeech):
    """A model of waveforms: convolutions that make one state per 20 ms, and a Transformer over these states.

    Some models (such as wav2vec 2.0 Base) normalize a channel over time, padding included. Their convolutions are
    applied to one utterance at a time, so that padding changes nothing.
    """

    def __init__(self, backbone: Any, preprocessor: WaveformFrames, *, dim: int, convolutions: list[tuple[int, int]]):
        """``convolutions``: kernel size and stride of each."""
        super().__init__(backbone, preprocessor, num_features=HOP_LENGTH, dim=dim)
        self.convolutions = convolutions
        self.normalizes_over_time = any(isinstance(module, nn.GroupNorm) for module in backbone.modules())

    @abstractmethod
    def convolve(self, samples: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch states channels"]:
        """Apply the convolutions."""

    @abstractmethod
    def encode_context(
        self, states: Float[Tensor, "batch states channels"], mask: Bool[Tensor, "batch states"]
    ) -> Float[Tensor, "batch states dim"]:
        """Apply the Transformer."""

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: Float[Tensor, "batch frames HOP_LENGTH"], at least MIN_FRAMES for each utterance."""
        num_frames = source.mask.sum(dim=1)
        samples = source.values.flatten(1)
        if self.normalizes_over_time:
            utterances = zip(samples, (HOP_LENGTH * num_frames).tolist(), strict=True)
            states = pad_sequence(
                [self.convolve(utterance[None, :length])[0] for utterance, length in utterances], batch_first=True
            )
        else:
            states = self.convolve(samples)
        mask = torch.arange(states.size(1), device=states.device) < self.output_lengths(num_frames)[:, None]
        return self.encode_context(states, mask), mask

    def output_lengths(self, num_frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        lengths = HOP_LENGTH * num_frames
        for kernel_size, stride in self.convolutions:
            lengths = (lengths - kernel_size) // stride + 1
        return lengths


class TransformersWaveform(WaveformFrontend):
    """wav2vec 2.0 (Baevski et al. 2020), HuBERT (Hsu et al. 2021) or WavLM (Chen et al. 2022), by transformers.

    The few HuBERT models with a batch norm before their position embedding are not exact in a padded batch.
    """

    library = "transformers"

    def __init__(self, backbone: Any, preprocessor: WaveformFrames):
        config = backbone.config
        convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        super().__init__(backbone, preprocessor, dim=config.hidden_size, convolutions=convolutions)

    def convolve(self, samples: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch states channels"]:
        return self.backbone.feature_extractor(samples).transpose(1, 2)

    def encode_context(
        self, states: Float[Tensor, "batch states channels"], mask: Bool[Tensor, "batch states"]
    ) -> Float[Tensor, "batch states dim"]:
        projected = self.backbone.feature_projection(states)
        projected = projected if isinstance(projected, Tensor) else projected[0]  # HuBERT's is not a tuple
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # WavLM passes torch masks of two types, which is deprecated
            return self.backbone.encoder(projected, attention_mask=mask)[0]

    def backbone_settings(self) -> dict[str, Any]:
        return transformers_settings(self.backbone)


# ── Loading ─────────────────────────────────────────────────────────────────────────────────────────────────


def load_speech_model(name: str) -> PretrainedSpeech:
    """Load a model with its weights.

    Args:
        name: Id on the Hugging Face hub, such as ``facebook/wav2vec2-base``, or a folder.

    Raises:
        ValueError: The model can't be loaded; the message has one line.
    """
    try:
        return load_transformers_model(name)
    except ModuleNotFoundError:  # of an extra
        raise
    except Exception as error:  # files, the network and other libraries raise all kinds
        raise loading_error("speech", name, error) from error


def speech_model_from_config(config: dict[str, Any]) -> PretrainedSpeech:
    """Build a model from ``PretrainedFrontend.to_config``, with random weights, which a checkpoint then replaces."""
    model, preprocessor = config["model"], config["preprocessor"]
    transformers = import_transformers()
    backbone_config = config_from_settings(model)
    if backbone_config.model_type == "whisper":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperFrontend(WhisperEncoder(backbone_config), WhisperLogMel(**preprocessor))
    return TransformersWaveform(transformers.AutoModel.from_config(backbone_config), WaveformFrames(**preprocessor))


def load_transformers_model(name: str) -> PretrainedSpeech:
    """Load a model of transformers. Raises ValueError for other types of models, missing weights or sample rates."""
    transformers = import_transformers()
    check_name(name)
    config = transformers.AutoConfig.from_pretrained(name)
    is_whisper = config.model_type == "whisper"
    if not is_whisper and config.model_type not in WAVEFORM_MODELS:
        raise ValueError(f"its type is {config.model_type}; allowed are {', '.join(WAVEFORM_MODELS)} and whisper")
    # Layer dropout and random masks belong to pretraining; a parameter without a gradient in some step would also
    # stop training by several processes. An adapter after the Transformer is not part of the model used here.
    vars(config).update(layerdrop=0.0, mask_time_prob=0.0, mask_feature_prob=0.0, add_adapter=False)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(name)
    if extractor.sampling_rate != SAMPLE_RATE_HZ:
        raise ValueError(f"its sample rate is {extractor.sampling_rate} Hz; allowed is {SAMPLE_RATE_HZ}")
    backbone, report = transformers.AutoModel.from_pretrained(name, config=config, output_loading_info=True)
    check_complete([key for key in report["missing_keys"] if not (is_whisper and key.startswith("decoder."))])
    if is_whisper:
        settings = json.loads(extractor.to_json_string())
        preprocessor = WhisperLogMel(settings, max_frames=2 * config.max_source_positions)
        return WhisperFrontend(backbone.get_encoder(), preprocessor)
    return TransformersWaveform(backbone, WaveformFrames(extractor.do_normalize))
