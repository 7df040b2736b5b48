"""Audio-visual speech recognition: what is said is read from the lips and heard, by one decoder with two encoders.

The task is composed of speech recognition and video to text: each reads, augments and encodes its part of a video as it
does alone.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from encoders.base import Encoder, SourceBatch
from encoders.multi_source import MultiSourceEncoder, build_fusion, order_by_time
from encoders.speech import SpeechEncoder
from tasks.audio_visual_speech.config import AudioVisualConfig
from tasks.audio_visual_speech.data import join_sources
from tasks.common.analysis.views import View
from tasks.common.data.arrays import pack_array, unpack_array
from tasks.common.data.containers import Note
from tasks.common.data.inputs import InputSegment
from tasks.common.data.media_files import file_content
from tasks.common.data.media_probe import probe_media
from tasks.common.errors import UsageError
from tasks.common.media_task import MediaTask
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.model import Seq2Seq
from tasks.common.run_config import load_config
from tasks.common.text.normalization import normalize_text
from tasks.common.training.attention_monitor import DiagonalityMonitor
from tasks.common.training.checkpoints import load_weights, read_weights
from tasks.speech_recognition.config import SpeechConfig
from tasks.speech_recognition.data import read_transcribed_speech
from tasks.speech_recognition.extraction import read_speech
from tasks.speech_recognition.features import SAMPLE_RATE_HZ
from tasks.speech_recognition.task import SpeechRecognition
from tasks.video_to_text.config import VideoConfig
from tasks.video_to_text.task import VideoToText

if TYPE_CHECKING:
    import datasets


class AudioVisualSpeech(MediaTask[AudioVisualConfig]):
    """A source is a dictionary: ``video``, a file, and ``sound``, a list of packed feature matrices.

    Attributes:
        speech: Speech recognition, for the sound alone.
        lips: Video to text, for the frames alone.
    """

    input_kinds = ("video",)
    hub_task = "automatic-speech-recognition"
    is_transcription = True
    attention_monitor = DiagonalityMonitor()

    def __init__(self, config: AudioVisualConfig):
        """Raises UsageError without data: lips are not part of the toy world."""
        super().__init__(config)
        if config.data is None:
            raise UsageError("data is None; allowed is a folder or a hub id, since there are no lips in the toy world")
        self.speech = SpeechRecognition(config.sound_config)
        self.lips = VideoToText(config.lips_config)
        normalize = partial(normalize_text, kind=config.text_normalization)
        self.metrics = word_error_metrics(normalize, config.text_normalization)

    def load(self, split: str) -> "datasets.Dataset":
        config, where = self.config, f"{self.config.data}, {split}"
        table = read_transcribed_speech(str(config.data), split, config.text_column)
        if any(str(file["path"]).endswith(".npy") for file in table["audio"]):
            raise UsageError(f"{where} holds .npy files; videos with a sound track are needed")
        captioned = table.rename_column("audio", "source").add_column(
            "captions", [[text if isinstance(text, str) else ""] for text in table["text"]]
        )
        videos = probe_media(captioned.remove_columns("text"), where, self.lips.probe, config.skip_invalid)
        sound = self.speech.extract(table, where, split)
        examples = join_sources(videos, sound)
        if not len(examples):
            raise UsageError(f"{where}: no valid row is left")
        texts = [captions[0] for captions in examples["captions"]]
        targets = [normalize_text(text, config.text_normalization) for text in texts]
        examples = examples.remove_columns("captions").add_column("target", targets)
        return examples.add_column("references", [[text] for text in targets])

    def fit_sources(self, examples: "datasets.Dataset") -> None:
        sound = examples.flatten()["source.sound"]
        self.speech.fit_features(sound, max_frames=max(self.speech.source_lengths(sound)))
        self.lips.feature_dim = 0  # pixels
        self.speech.tokenizer = self.lips.tokenizer = self.tokenizer

    def source_state_dict(self) -> dict[str, Any]:
        return {"sound": self.speech.source_state_dict(), "lips": self.lips.source_state_dict()}

    def load_source_state_dict(self, state: dict[str, Any]) -> None:
        self.speech.tokenizer = self.lips.tokenizer = self.tokenizer
        self.speech.load_source_state_dict(state["sound"])
        self.lips.load_source_state_dict(state["lips"])

    def build_encoder(self) -> Encoder:
        encoders = [self.lips.build_encoder(), self.speech.build_encoder()]
        return build_fusion(self.config.fusion, encoders, self.config.memory_dim)

    def warm_start(self, model: Seq2Seq) -> None:
        lips, sound = cast(MultiSourceEncoder, model.encoder).encoders
        if self.config.lips.encoder_from is not None:
            run = Path(self.config.lips.encoder_from)
            other = cast(VideoConfig, load_config("video_to_text", run))
            load_encoder(lips, run, "lips", other.frames == self.config.lips.frames)
        if self.config.sound.encoder_from is not None:
            run = Path(self.config.sound.encoder_from)
            other = cast(SpeechConfig, load_config("speech_recognition", run))
            load_encoder(sound, run, "sound", other.features == self.config.sound.features)

    def source_lengths(self, sources: Sequence[dict[str, Any]]) -> list[int]:
        """Return the number of frames of each video."""
        return self.lips.source_lengths([source["video"] for source in sources])

    def source_key(self, source: dict[str, Any]) -> str:
        return f"{self.lips.source_key(source['video'])} {self.speech.source_key(source['sound'])}"

    def collate_sources(self, sources: Sequence[dict[str, Any]], training: bool) -> SourceBatch:
        videos = self.lips.collate_sources([source["video"] for source in sources], training)
        sound = self.speech.collate_sources([source["sound"] for source in sources], training)
        return dataclasses.replace(videos, others=(sound,))

    def parse_file(self, file: dict[str, Any], note: Note) -> list[InputSegment]:
        """Make a segment of a video. Raises ValueError if its frames or its sound can't be used."""
        (segment,) = self.lips.parse_file(file, note)
        samples = read_speech(file_content(file), lambda text: note(f"has sound that {text}"))
        frames = self.speech.check_features(self.speech.preprocessor(samples))
        span = segment.span or (0.0, len(samples) / SAMPLE_RATE_HZ)
        return [InputSegment({"video": file, "sound": [pack_array(frames)]}, span)]

    def view_alignment(self, source: dict[str, Any], weights: Tensor) -> list[View]:
        """Return views of the attention to the frames, and of that to the sound."""
        seen = heard = weights
        if self.config.fusion == "states":
            num_frames = torch.tensor([len(unpack_array(source["sound"][0]))])
            num_heard = int(cast(SpeechEncoder, self.speech.build_encoder()).output_lengths(num_frames))
            num_seen = weights.size(1) - num_heard
            order, _ = order_by_time([torch.ones(1, count, dtype=torch.bool) for count in (num_seen, num_heard)])
            seen, heard = weights[:, order[0] < num_seen], weights[:, order[0] >= num_seen]
        return [*self.lips.view_alignment(source["video"], seen), *self.speech.view_alignment(source["sound"], heard)]


def load_encoder(encoder: nn.Module, run: Path, part: str, has_same_inputs: bool) -> None:
    """Load the weights of the encoder of a run.

    Args:
        encoder: The encoder whose weights are replaced.
        run: The run folder.
        part: lips or sound.
        has_same_inputs: Whether the run's frames or features are those of the encoder.

    Raises:
        UsageError: the inputs or the encoder of the run are others.
    """
    if not has_same_inputs:
        inputs = {"lips": "frames", "sound": "features"}[part]
        raise UsageError(f"{part}.encoder_from is {run}, whose {inputs} differ from {part}.{inputs}")
    path = run / "best.safetensors"
    weights = read_weights(path)
    own = {name.removeprefix("encoder."): weights[name] for name in weights if name.startswith("encoder.")}
    try:
        load_weights(encoder, own, path)
    except UsageError as error:
        raise UsageError(
            f"{part}.encoder_from is {run}, whose encoder has other settings than {part}.encoder; allowed is a run "
            "with the same"
        ) from error
