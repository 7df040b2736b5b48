"""Speech recognition: sound in, its words out."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import datasets
import jiwer
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from attention.validation import at_least
from decoders.base import EOS
from encoders.base import Encoder, IdentityFrontend, SequenceEncoder, SourceBatch
from encoders.pretrained.speech import PretrainedSpeech, load_speech_model, speech_model_from_config
from encoders.speech import ConvSubsampling, SpeechEncoder
from tasks.common.analysis.plots import plot_audio_attention
from tasks.common.config import Config, ReaderConfig
from tasks.common.console import console
from tasks.common.data import cache
from tasks.common.data.inputs import InputSegment
from tasks.common.errors import UsageError
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.model import build_sequence_encoder
from tasks.common.task import Task
from tasks.common.text.normalization import TextNormalization, normalize_text
from tasks.common.text.tokenizer import Tokenizer
from tasks.speech_recognition.data import Extractor, find, load_recordings, read_frames
from tasks.speech_recognition.features import (
    FRAMES,
    RATE,
    AugmentConfig,
    FeatureConfig,
    FeatureNormalizer,
    LogMel,
    augment,
)
from tasks.speech_recognition.sound import SoundError, cut_at_silence, problem, read_sound
from tasks.toy_world.datasets import toy_transcribed_speech

WORST = 20  # utterances in the listing


@dataclass(frozen=True, kw_only=True)
class SpeechEncoderConfig(ReaderConfig):
    pretrained: str | None = None
    """Folder or hub id of a wav2vec2, HuBERT, WavLM or Whisper, or torchaudio:BUNDLE; frozen unless --train.encoder-lr
    is set. The convolutions are then left out."""
    convolutions: int = 2
    """Layers of 3 x 3 filters over time and frequency, each of which halves both; 0: none."""
    channels: int = 32
    layers: int = 3
    pyramid: int = 0
    """How many layers, from the second one on, join neighbouring states and so halve time (Chan et al. 2016)."""

    def allowed(self) -> dict[str, tuple[bool, str]]:
        pyramid = 0 <= self.pyramid < self.layers, f"0 to one less than the layers, {self.layers - 1}"
        at_leasts = at_least(1, self, "channels") | at_least(0, self, "convolutions")
        return super().allowed() | at_leasts | {"pyramid": pyramid}


@dataclass(frozen=True, kw_only=True)
class SpeechConfig(Config):
    scenes: int = 3000
    """Training utterances of the embedded world, where there is no --data."""
    text: str = "text"
    """The column with the transcripts."""
    transcript: TextNormalization = "no_punctuation"
    """What is learned and scored: raw text, lower-cased, or plain, without punctuation as well."""
    features: FeatureConfig = field(default_factory=FeatureConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    encoder: SpeechEncoderConfig = field(default_factory=SpeechEncoderConfig)


class SpeechRecognition(Task[SpeechConfig]):
    frame_duration_s = 1 / FRAMES
    expects_monotonic_alignment = True
    width: int  # features a frame
    longest: int  # frames of the longest training example
    normalizer: FeatureNormalizer

    def __init__(self, config: SpeechConfig):
        super().__init__(config)
        self.metrics = word_error_metrics(partial(normalize_text, kind=config.transcript), config.transcript)
        self.pretrained_config: dict[str, Any] | None = None  # of the pretrained encoder, in a run folder

    @cached_property
    def backbone(self) -> PretrainedSpeech | None:
        """The pretrained encoder, if one is asked for: as it came, or with the form that a run folder describes."""
        if self.pretrained_config is not None:
            return speech_model_from_config(self.pretrained_config)
        name = self.config.encoder.pretrained
        try:
            return None if name is None else load_speech_model(name)
        except ValueError as error:
            raise UsageError(f"--encoder.pretrained: {error}") from error

    @cached_property
    def extractor(self) -> Extractor:
        return LogMel(self.config.features) if self.backbone is None else self.backbone.preprocessor

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        speeds = config.augment.speeds if split == "train" else (1.0,)
        if config.data is None:
            table, where = toy_transcribed_speech(split, config.scenes), f"the embedded world, {split}"
        else:
            table, where = find(config.data, split, config.text), f"{config.data}, {split}"
        examples = load_recordings(table, where, self.extractor, speeds, config.skip_invalid)
        texts = [normalize_text(text, config.transcript) for text in examples["text"]]
        return (
            examples.remove_columns("text").add_column("target", texts).add_column("references", [[t] for t in texts])
        )

    def fit(self, examples: datasets.Dataset) -> None:
        self.tokenizer = Tokenizer.train(examples["target"], self.config.vocabulary)
        self.longest = max(examples["length"])
        self.width = cache.unpack_array(examples[0]["source"][0]).shape[1]
        self.normalizer = FeatureNormalizer.fit(
            self.config.features.normalize_text, (cache.unpack_array(source[0]) for source in examples["source"])
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "target": self.tokenizer.state_dict(),
            "width": self.width,
            "longest": self.longest,
            "normaliser": self.normalizer.state_dict(),
            "pretrained": None if self.backbone is None else self.backbone.to_config(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tokenizer = Tokenizer.from_state_dict(state["target"])
        self.width, self.longest = state["width"], state["longest"]
        self.normalizer = FeatureNormalizer.from_state_dict(state["normaliser"])
        self.pretrained_config = state["pretrained"]

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        if self.backbone is not None:
            frontend = self.backbone
        elif config.convolutions:
            frontend = ConvSubsampling(self.width, config.channels, config.convolutions)
        else:
            frontend = IdentityFrontend(self.width)

        def build(input_dim: int, layers: int, top: bool) -> SequenceEncoder:
            summary = config.summary if top else "own"  # the summaries below are not used
            return build_sequence_encoder(input_dim, replace(config, layers=layers, pyramid=0, summary=summary))

        return SpeechEncoder(
            frontend,
            build,
            num_layers=config.layers,
            pyramid_layers=config.pyramid,
            dropout=config.dropout,
        )

    def source_lengths(self, sources: Sequence[Sequence[bytes]]) -> list[int]:
        return [max(len(cache.unpack_array(spoken)) for spoken in source) for source in sources]

    def collate_sources(self, sources: Sequence[Sequence[bytes]], training: bool) -> SourceBatch:
        speeds = torch.randint(len(sources[0]), (len(sources),)).tolist() if training else [0] * len(sources)
        source = cache.pad_arrays([cache.unpack_array(spoken[speed]) for spoken, speed in zip(sources, speeds, strict=True)])
        if self.backbone is not None:  # which has its own way to normalise
            return source
        values, mask = self.normalizer(source.values, source.mask), source.mask
        if training:
            values, mask = augment(values, mask, self.config.augment)
        return SourceBatch(values, mask)

    def parse(self, arguments: Sequence[str]) -> list[list[InputSegment]]:
        named: list[tuple[str, str | bytes]] = []
        for argument in arguments:
            if argument == "-":
                named.append(("standard input", sys.stdin.buffer.read()))
            elif Path(argument).is_dir():
                named += [(str(file), str(file)) for file in sorted(Path(argument).iterdir()) if file.is_file()]
            else:
                named.append((argument, argument))
        return [self.pieces(name, sound) for name, sound in named]

    def pieces(self, name: str, sound: str | bytes) -> list[InputSegment]:
        """A recording, cut at its pauses where it is longer than anything the model was trained on."""
        try:
            if isinstance(sound, str) and sound.endswith(".npy"):
                frames = read_frames(sound)
                self.fits(frames)
                return [InputSegment([cache.pack_array(frames)], (0.0, len(frames) / FRAMES))]
            samples = read_sound(sound, RATE)
            wrong = problem(samples, RATE)
            if wrong:
                raise SoundError(wrong)
            found = []
            for start, end in cut_at_silence(samples, RATE, self.longest / FRAMES):
                frames = self.extractor(samples[round(start * RATE) : round(end * RATE)])
                self.fits(frames)
                found.append(InputSegment([cache.pack_array(frames)], (start, end)))
            return found
        except ValueError as error:
            console.print(f"{name} {error}: its line stays empty", markup=False)
            return []

    def fits(self, frames: Float[np.ndarray, "frames features"]) -> None:
        """Raises SoundError for features of another kind than the model's."""
        if frames.shape[1] != self.width:
            raise SoundError(f"has {frames.shape[1]} features a frame, and this model reads {self.width}")

    def render(self, source: Sequence[bytes], hypothesis: list[int], weights: Tensor, path: Path) -> None:
        frames = cache.unpack_array(source[0])
        tokens = self.tokenizer.display_tokens([*hypothesis, EOS])[: len(weights)]
        plot_audio_attention(frames, weights, tokens, len(frames) / FRAMES, path)

    def listing(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> str:
        """The utterances with the most wrong words, aligned word by word with what was said."""
        metric = self.metrics[0]
        errors = metric.sufficient_stats(hypotheses, references)[:, :3].sum(axis=1)
        worst = [row for row in np.argsort(-errors, kind="stable")[:WORST] if errors[row] and references[row][0]]
        if not worst:
            return "no errors\n"
        aligned = jiwer.process_words(
            [str(references[row][0]) for row in worst], [str(hypotheses[row]) for row in worst]
        )
        lines = jiwer.visualize_alignment(aligned, show_measures=False, skip_correct=False)
        for place, row in enumerate(worst, start=1):
            lines = lines.replace(
                f"=== SENTENCE {place} ===", f"=== example {row + 1}: {errors[row]:.0f} wrong words ===", 1
            )
        return lines
