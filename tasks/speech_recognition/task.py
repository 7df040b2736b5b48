"""Speech recognition: sound in, its words out."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from encoders.base import Encoder, IdentityFrontend, SequenceEncoder, SourceBatch
from encoders.build import build_sequence_encoder
from encoders.pretrained.speech import PretrainedSpeech, load_speech_model, speech_model_from_config
from encoders.speech import ConvSubsampling, SpeechEncoder
from tasks.common.analysis.views import SoundView, View
from tasks.common.config import report_settings_of_raw_data
from tasks.common.data.arrays import pack_array, pad_arrays, unpack_array
from tasks.common.data.containers import Note
from tasks.common.data.inputs import BuiltinInput, InputSegment
from tasks.common.data.media_files import MediaError, file_content
from tasks.common.errors import UsageError
from tasks.common.export.inputs import ExportedInput, example_mask
from tasks.common.media_task import MediaTask
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.text.normalization import normalize_text
from tasks.common.training.attention_monitor import DiagonalityMonitor
from tasks.speech_recognition.config import SpeechConfig
from tasks.speech_recognition.data import read_transcribed_speech
from tasks.speech_recognition.extraction import SpeechPreprocessor, extract_features, read_feature_file
from tasks.speech_recognition.features import (
    FRAMES_PER_SECOND,
    MIN_ENERGY,
    MIN_STD,
    SAMPLE_RATE_HZ,
    FeatureNormalizer,
    LogMel,
    append_deltas,
    augment_frames,
)
from tasks.speech_recognition.report import SpeechReport
from tasks.speech_recognition.segments import read_segments
from tasks.toy_world.datasets import TRAIN_PER_TEST_RECORDING, toy_transcribed_speech

if TYPE_CHECKING:
    import datasets

EXPORTED_FRAMES = 160  # frames of the example with which a model is exported


class SpeechRecognition(MediaTask[SpeechConfig]):
    """A source is a list of packed feature matrices: in training, the same utterance at each speed and with each noise.

    Attributes:
        feature_dim: Features of a frame. Set by ``fit_sources``.
        max_frames: Frames of the longest training example.
        normalizer: Normalizes log-mel features, or features from files.
        pretrained_config: The settings to build the pretrained encoder from, in a run folder; else None.
        has_feature_files: Whether all training sources are features, from .npy files. Set by ``load``.
    """

    input_kinds = ("audio", "video")
    hub_task = "automatic-speech-recognition"
    is_transcription = True
    feature_dim: int
    max_frames: int
    normalizer: FeatureNormalizer
    pretrained_config: dict[str, Any] | None = None
    has_feature_files: bool = False

    def __init__(self, config: SpeechConfig):
        super().__init__(config)
        normalize = partial(normalize_text, kind=config.text_normalization)
        self.metrics = word_error_metrics(normalize, config.text_normalization)
        self.report = SpeechReport(self.metrics[0])
        self.attention_monitor = DiagonalityMonitor()

    @cached_property
    def backbone(self) -> PretrainedSpeech | None:
        """The pretrained encoder, if there is one: with its weights, or built from a run folder's configuration."""
        name = self.config.encoder.pretrained
        try:
            if self.pretrained_config is not None:
                return speech_model_from_config(self.pretrained_config)
            return None if name is None else load_speech_model(name)
        except ValueError as error:
            raise UsageError(f"encoder.pretrained: {error}") from error

    @cached_property
    def preprocessor(self) -> SpeechPreprocessor:
        return LogMel(self.config.features) if self.backbone is None else self.backbone.preprocessor

    def load(self, split: str) -> "datasets.Dataset":
        config = self.config
        if config.data is None:
            table = toy_transcribed_speech(split, config.num_scenes)
        else:
            table = read_transcribed_speech(config.data, split, config.text_column)
        if split == "train":
            self.has_feature_files = all(str(audio["path"]).endswith(".npy") for audio in table["audio"])
        examples = self.extract(table, f"{config.data or 'toy world'}, {split}", split)
        texts = [normalize_text(text, config.text_normalization) for text in examples["text"]]
        examples = examples.remove_columns("text").add_column("target", texts)
        return examples.add_column("references", [[text] for text in texts])

    def extract(self, table: "datasets.Dataset", where: str, split: str) -> "datasets.Dataset":
        """Compute the features of a table's recordings: see ``extract_features``. Training has all their variants."""
        config = self.config
        # A frozen encoder's outputs are computed once, so there is a single variant.
        is_frozen = config.encoder.pretrained is not None and not config.train.encoder_lr
        varies = split == "train" and not is_frozen
        # The most natural speed is the first: that is read where nothing is random.
        speeds = sorted(config.augment.speeds, key=lambda speed: abs(speed - 1))
        return extract_features(
            table,
            where,
            self.preprocessor,
            speeds=tuple(speeds) if varies else (1.0,),
            babble_snrs=config.augment.babble_snrs if varies else (),
            skip_invalid=config.skip_invalid,
        )

    def fit_sources(self, examples: "datasets.Dataset") -> None:
        self.fit_features(examples["source"], max(examples["length"]))
        if self.has_feature_files:
            settings = ("features.num_mels", "features.window_s", "augment.speeds", "augment.babble_snrs")
            report_settings_of_raw_data(self.config, settings)

    def fit_features(self, sources: Sequence[Sequence[bytes]], max_frames: int) -> None:
        """Learn the size and the statistics of the features, without random changes, and keep their maximum length."""
        self.max_frames = max_frames
        self.feature_dim = unpack_array(sources[0][0]).shape[1]
        self.normalizer = FeatureNormalizer.fit(
            self.config.features.normalization, (self.unpack_frames(source[0]) for source in sources)
        )

    def source_state_dict(self) -> dict[str, Any]:
        return {
            "feature_dim": self.feature_dim,
            "max_frames": self.max_frames,
            "normalizer": self.normalizer.state_dict(),
            "pretrained": None if self.backbone is None else self.backbone.to_config(),
        }

    def load_source_state_dict(self, state: dict[str, Any]) -> None:
        if any(type(state[name]) is not int or state[name] < 1 for name in ("feature_dim", "max_frames")):
            raise UsageError("its feature_dim and max_frames are not both positive integers; restore it")
        self.feature_dim, self.max_frames = state["feature_dim"], state["max_frames"]
        self.normalizer = FeatureNormalizer.from_state_dict(state["normalizer"])
        self.pretrained_config = state["pretrained"]

    @property
    def num_planes(self) -> int:
        """The features themselves, and the orders of their changes over time."""
        return 1 + self.config.features.deltas

    def unpack_frames(self, variant: bytes) -> Float[np.ndarray, "frames inputs"]:
        """Unpack features and append their deltas; a pretrained encoder takes them as they are."""
        frames = unpack_array(variant)
        return frames if self.backbone is not None else append_deltas(frames, self.config.features.deltas)

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        if self.backbone is not None:
            frontend = self.backbone
        elif config.num_conv_layers:
            frontend = ConvSubsampling(
                self.feature_dim, config.channels, config.num_conv_layers, num_planes=self.num_planes
            )
        else:
            frontend = IdentityFrontend(self.num_planes * self.feature_dim)

        def build_layer(input_dim: int, num_layers: int, is_top: bool) -> SequenceEncoder:
            pooling = config.sequence.pooling if is_top else "default"  # only the summary of the top is used
            layer_config = dataclasses.replace(config.sequence, num_layers=num_layers, pooling=pooling)
            return build_sequence_encoder(input_dim, layer_config)

        return SpeechEncoder(
            frontend,
            build_layer,
            num_layers=config.sequence.num_layers,
            pyramid_layers=config.pyramid_layers,
            dropout=config.sequence.dropout,
        )

    def source_lengths(self, sources: Sequence[Sequence[bytes]]) -> list[int]:
        """Return the number of frames of each utterance, at its slowest speed."""
        return [max(len(unpack_array(variant)) for variant in source) for source in sources]

    def collate_sources(self, sources: Sequence[Sequence[bytes]], training: bool) -> SourceBatch:
        drawn = torch.randint(len(sources[0]), (len(sources),)).tolist() if training else [0] * len(sources)
        frames = [self.unpack_frames(variants[place]) for variants, place in zip(sources, drawn, strict=True)]
        source = pad_arrays(frames)
        if self.backbone is not None:  # it has a normalization of its own
            return source
        values, mask = self.normalizer(source.values, source.mask), source.mask
        if training:
            values, mask = augment_frames(values, mask, self.config.augment, self.num_planes)
        return SourceBatch(values, mask)

    def builtin_inputs(self, count: int) -> list[BuiltinInput]:
        table = toy_transcribed_speech("test", TRAIN_PER_TEST_RECORDING * count)
        return [BuiltinInput(audio["bytes"], text) for audio, text in zip(table["audio"], table["text"], strict=True)]

    def exported_input(self) -> ExportedInput:
        if self.backbone is not None:
            raise UsageError("encoder.pretrained is set, and speech can be exported with encoders from scratch only")
        log_mel, normalizer = LogMel(self.config.features), self.normalizer
        mask = example_mask(EXPORTED_FRAMES)
        values = torch.randn(*mask.shape, self.num_planes * self.feature_dim) * mask[..., None]
        arrays = {"window": log_mel.window, "bands": log_mel.bands}
        if normalizer.mean is not None and normalizer.std is not None:
            arrays |= {"mean": normalizer.mean, "std": normalizer.std}
        return ExportedInput(
            script="infer_sound.py",
            example=SourceBatch(values, mask),
            settings={
                "sample_rate_hz": SAMPLE_RATE_HZ,
                "hop_length": SAMPLE_RATE_HZ // FRAMES_PER_SECOND,
                "fft_length": log_mel.fft_length,
                "min_energy": MIN_ENERGY,
                "deltas": self.config.features.deltas,
                "normalization": normalizer.kind,
                "min_std": MIN_STD,
            },
            packages=["soundfile"],
            arrays={name: tensor.numpy() for name, tensor in arrays.items()},
        )

    def parse_file(self, file: dict[str, Any], note: Note) -> list[InputSegment]:
        """Make segments of a recording, split at pauses if it is longer than every training example.

        Args:
            file: Its path or content.
            note: Is told what is damaged, and of a recording without speech.

        Returns:
            The segments in order; none of a recording without speech.

        Raises:
            ValueError: the recording can't be used.
        """
        if file["path"] is not None and file["path"].endswith(".npy"):
            frames = self.check_features(read_feature_file(file["path"]))
            return [InputSegment([pack_array(frames)], (0.0, len(frames) / FRAMES_PER_SECOND))]

        def compute(samples: Float[np.ndarray, " samples"]) -> bytes:
            return pack_array(self.check_features(self.preprocessor(samples)))

        max_duration_s = self.max_frames / FRAMES_PER_SECOND
        read = read_segments(file_content(file), SAMPLE_RATE_HZ, max_duration_s, compute, note)
        segments = [InputSegment([frames], span) for span, frames in read]
        if not segments:
            note("has nothing that is louder than its background: nothing is recognized")
        return segments

    def check_features(self, frames: Float[np.ndarray, "frames features"]) -> Float[np.ndarray, "frames features"]:
        """Return frames unchanged. Raises MediaError if they have other features than the training data."""
        if frames.shape[1] != self.feature_dim:
            raise MediaError(f"has {frames.shape[1]} features a frame; the model was trained on {self.feature_dim}")
        return frames

    def view_alignment(self, source: Sequence[bytes], weights: Tensor) -> list[View]:
        frames = unpack_array(source[0])
        return [SoundView(weights, frames, len(frames) / FRAMES_PER_SECOND)]
