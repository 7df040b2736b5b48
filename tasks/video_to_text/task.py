"""Video to text: a video in; a sentence about it, or the words read from lips, out."""

import math
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from encoders.base import Encoder, Frontend, SourceBatch
from encoders.build import build_sequence_encoder
from encoders.config import (
    NoSequenceEncoderConfig,
)
from encoders.image import SmallResNet
from encoders.pooling import build_pooling
from encoders.pretrained.image import PretrainedImage, image_model_from_config, load_image_model
from encoders.pretrained.video import PretrainedVideo, is_video_model, load_video_model, video_model_from_config
from encoders.video import Conv3dFrontend, FrameCNN, TwoStream, VideoEncoder
from tasks.common.analysis.views import VideoView
from tasks.common.captioning_task import CaptioningTask
from tasks.common.data.containers import Note
from tasks.common.data.folders import visible_paths
from tasks.common.data.inputs import BuiltinInput, InputSegment
from tasks.common.data.media_files import file_content, media_key
from tasks.common.errors import UsageError
from tasks.common.export.inputs import ExportedInput, example_mask
from tasks.common.inference.report import ReportExtras
from tasks.common.metrics.base import Metric
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.text.normalization import normalize_text
from tasks.common.training.attention_monitor import DiagonalityMonitor
from tasks.toy_world.datasets import TRAIN_PER_TEST, as_video_file, toy_captioned_videos
from tasks.toy_world.videos import FRAME_RATE_HZ
from tasks.video_to_text.augmentation import augment_frames
from tasks.video_to_text.config import VideoConfig
from tasks.video_to_text.data import SUFFIXES, VideoProbe, read_captioned_videos
from tasks.video_to_text.frames import read_frames, video_duration

if TYPE_CHECKING:
    import datasets

EXPORTED_FRAMES = 48  # frames of the example with which a model is exported
DEFAULT_SIZE = 64  # pixels a side, of frames for a network from scratch


class VideoToText(CaptioningTask[VideoConfig]):
    """Describe a video, or read lips. A .npy file holds features, a row for each frame."""

    source_unit = "frames"
    input_kinds = ("video", "frames")
    hub_task = "video-text-to-text"

    def __init__(self, config: VideoConfig):
        """Raises UsageError for a sequence encoder over anything but a state for each frame."""
        super().__init__(config)
        encoder = config.encoder
        if encoder.frame_aggregation != "frames" and not isinstance(encoder.sequence, NoSequenceEncoderConfig):
            raise UsageError(
                f"encoder.frame_aggregation is {encoder.frame_aggregation} with encoder.kind {encoder.sequence.kind}; "
                "allowed is frames, or encoder.kind none"
            )
        self.is_transcription = config.metric_set == "words"
        if self.is_transcription:
            self.attention_monitor = DiagonalityMonitor()
            self.report = ReportExtras()

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        config = self.config
        if config.metric_set == "words":
            normalize = partial(normalize_text, kind=config.text_normalization)
            return word_error_metrics(normalize, config.text_normalization)
        return super().metrics

    @property
    def probe(self) -> VideoProbe:
        return VideoProbe(self.config.frames, self.frame_size)

    @cached_property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the frames in pixels."""
        if isinstance(self.backbone, PretrainedImage | PretrainedVideo):
            return self.backbone.preprocessor.size, self.backbone.preprocessor.size
        sides = self.config.encoder.size or (DEFAULT_SIZE,)
        return sides[0], sides[-1]

    @property
    def region_grid(self) -> tuple[int, int]:
        """Rows and columns of the regions that a network from scratch makes of a frame.

        Raises:
            ValueError: its layers can't halve the frame's sides.
        """
        num_layers = len(self.config.encoder.channels)
        height, width = self.frame_size
        if height % 2**num_layers or width % 2**num_layers:
            raise ValueError(
                f"encoder.size is {height} × {width}; with {num_layers} encoder.channels allowed are multiples of "
                f"{2**num_layers}"
            )
        return height // 2**num_layers, width // 2**num_layers

    def toy_examples(self, split: str) -> "datasets.Dataset":
        return toy_captioned_videos(split, self.config.num_scenes)

    def read_examples(self, data: str, split: str) -> "datasets.Dataset":
        return read_captioned_videos(data, split, self.config.caption_column)

    def builtin_inputs(self, count: int) -> list[BuiltinInput]:
        table = toy_captioned_videos("test", TRAIN_PER_TEST * count)
        pairs = zip(table["source"], table["captions"], strict=True)
        return [BuiltinInput(as_video_file(source["bytes"]), captions[0]) for source, captions in pairs]

    def load_backbone(self, name: str) -> PretrainedImage | PretrainedVideo:
        config = self.config.encoder
        load = load_video_model if is_video_model(name) else load_image_model
        return load(name, next(iter(config.size), None), grad_checkpointing=config.grad_checkpointing)

    def backbone_from_config(self, config: dict[str, Any]) -> PretrainedImage | PretrainedVideo:
        build = video_model_from_config if config["is_video_model"] else image_model_from_config
        return build(config, grad_checkpointing=self.config.encoder.grad_checkpointing)

    def source_state_dict(self) -> dict[str, Any]:
        state = super().source_state_dict()
        if state["pretrained"] is not None:
            state["pretrained"]["is_video_model"] = isinstance(self.backbone, PretrainedVideo)
        return state

    def build_encoder(self) -> Encoder:
        config, frontend = self.config.encoder, self.build_frontend()
        num_regions = getattr(frontend, "num_regions", None)
        if config.frame_aggregation == "regions" and num_regions is None:
            raise ValueError(
                "encoder.frame_aggregation is regions, which needs an encoder from scratch: allowed are frames and mean"
            )
        sequence_encoder = pooling = None
        if isinstance(config.sequence, NoSequenceEncoderConfig):
            pooling = build_pooling(config.sequence.pooling, config.sequence.hidden_dim)
        else:
            sequence_encoder = build_sequence_encoder(config.sequence.hidden_dim, config.sequence)
        return VideoEncoder(
            frontend,
            config.sequence.hidden_dim,
            frame_aggregation=config.frame_aggregation,
            num_regions=num_regions or 1,
            sequence_encoder=sequence_encoder,
            dropout=config.sequence.dropout,
            pooling=pooling,
            normalize=self.normalizes_states,
        )

    def build_frontend(self) -> Frontend:
        """Build what makes states of frames: a pretrained network, one from scratch, or nothing for features."""
        config = self.config.encoder
        if self.feature_dim:
            return self.build_feature_frontend()
        if self.backbone is not None:
            return FrameCNN(self.backbone) if isinstance(self.backbone, PretrainedImage) else self.backbone
        num_regions = math.prod(self.region_grid)
        if config.frontend == "spatiotemporal":
            return Conv3dFrontend(config.channels, self.frame_size)
        if config.frontend == "frames":
            return FrameCNN(SmallResNet(config.channels), num_regions=num_regions)
        temporal = SmallResNet(config.temporal_channels, in_channels=config.window_frames - 1)
        spatial = SmallResNet(config.channels)
        return TwoStream(spatial, temporal, num_regions=num_regions, window_frames=config.window_frames)

    def source_lengths(self, sources: Sequence[dict[str, Any]]) -> list[int]:
        """Return the number of frames of each video."""
        probe = self.probe
        return [probe(source).length for source in sources]

    def source_key(self, source: dict[str, Any]) -> str:
        return f"{media_key(source)} {self.config.frames}"

    def collate_pixels(self, sources: Sequence[dict[str, Any]], training: bool) -> SourceBatch:
        clips = [self.load_clip(source) for source in sources]
        if training:
            clips = [augment_frames(clip, self.config.augment) for clip in clips]
        lengths = torch.tensor([len(clip) for clip in clips])
        values = pad_sequence(clips, batch_first=True)  # (batch, frames, 3, height, width)
        return SourceBatch(values, torch.arange(values.size(1)) < lengths[:, None])

    def load_clip(self, source: dict[str, Any]) -> UInt8[Tensor, "frames 3 height width"]:
        """Load the frames of a video that the configuration selects."""
        frames = read_frames(file_content(source), self.config.frames, self.frame_size)
        return torch.from_numpy(frames).permute(0, 3, 1, 2)

    def exported_input(self) -> ExportedInput:
        if self.feature_dim:
            raise UsageError("its sources are features, and videos can be exported with encoders of pixels only")
        mask = example_mask(EXPORTED_FRAMES)
        values = torch.randint(256, (*mask.shape, 3, *self.frame_size), dtype=torch.uint8)
        config = self.config.frames
        settings = {"size": self.frame_size, "crop": config.crop, "num_frames": config.num_frames}
        settings |= {"fps": config.fps, "max_frames": config.max_frames}
        return ExportedInput("infer_frames.py", SourceBatch(values, mask), settings, packages=["pillow"])

    def parse_file(self, file: dict[str, Any], note: Note) -> list[InputSegment]:
        """Make a segment of a file, with its duration if that is known. Raises MediaError if the model can't use it."""
        (segment,) = super().parse_file(file, note)
        duration_s = None if self.feature_dim else video_duration(file_content(file))
        return [InputSegment(segment.source, None if duration_s is None else (0.0, duration_s))]

    def is_single_input(self, path: Path) -> bool:
        return path.is_file() or is_folder_of_frames(path)

    def view_media(self, source: dict[str, Any], weights: Tensor) -> VideoView:
        frames = read_frames(file_content(source), self.config.frames, None)
        duration_s = video_duration(file_content(source))
        if duration_s is None and self.config.data is None:  # the toy world's own clips are arrays
            duration_s = len(frames) / FRAME_RATE_HZ
        grid = self.region_grid if self.config.encoder.frame_aggregation == "regions" else (1, 1)
        return VideoView(weights.unflatten(1, (-1, *grid)), frames, duration_s)


def is_folder_of_frames(path: Path) -> bool:
    """Tell whether a folder is one video: it has files, and none of them is a video, features or a table."""
    if not path.is_dir():
        return False
    suffixes = {file.suffix.lower() for file in visible_paths(path) if file.is_file()}
    return bool(suffixes) and suffixes.isdisjoint({*SUFFIXES, ".jsonl", ".csv"})
