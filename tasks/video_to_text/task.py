"""Video to text: a video in, a sentence out, about what happens in it or of what is said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from attention.validation import at_least
from decoders.base import EOS
from encoders.base import Encoder, Frontend, IdentityFrontend, SourceBatch
from encoders.image import NUM_GROUPS, SmallResNet, are_valid_channels
from encoders.pooling import build_pooling
from encoders.pretrained.image import PretrainedImage, image_model_from_config, load_image_model
from encoders.pretrained.video import PretrainedVideo, is_video_model, load_video_model, video_model_from_config
from encoders.video import Conv3dFrontend, FrameAggregation, FrameCNN, TwoStream, VideoEncoder
from tasks.common.analysis.plots import plot_alignment, plot_frame_attention, plot_region_attention
from tasks.common.config import Config, ReaderConfig
from tasks.common.data import cache
from tasks.common.data.captioned_media import add_targets, file_content, media_key, probe_media, read_feature_array
from tasks.common.data.inputs import InputSegment, parse_file_inputs
from tasks.common.errors import UsageError
from tasks.common.metrics.captions import caption_metrics
from tasks.common.metrics.diversity import caption_diversity
from tasks.common.metrics.speech import word_error_metrics
from tasks.common.model import build_sequence_encoder
from tasks.common.task import Task
from tasks.common.text.normalization import TextNormalization, normalize_text
from tasks.common.text.tokenizer import Tokenizer
from tasks.toy_world.datasets import toy_captioned_videos
from tasks.toy_world.videos import write_video
from tasks.video_to_text.data import SUFFIXES, VideoProbe, find
from tasks.video_to_text.frames import FrameConfig, VideoAugmentConfig, augmented, read_frames


@dataclass(frozen=True, kw_only=True)
class VideoEncoderConfig(ReaderConfig):
    pretrained: str | None = None
    """Folder or hub id of an image model of transformers or timm, which sees each frame by itself, or of a VideoMAE, or
    torchvision:NAME, as resnet50 or r3d_18; frozen unless --train.encoder-lr is set."""
    size: tuple[int, ...] = ()
    """Pixels that frames are brought to: one number, or height and width (none: what a pretrained encoder was trained
    on, and else 64)."""
    frontend: Literal["frames", "two_stream", "spatiotemporal"] = "frames"
    """Of what is trained from scratch: a residual network on each frame; two, one of which sees a frame and one how it
    goes on (Simonyan & Zisserman 2014); or 3-D convolutions."""
    channels: tuple[int, ...] = (32, 64, 128)
    """Of what is trained from scratch: its layers, each of which halves the frame's sides."""
    movement: tuple[int, ...] = (16, 32, 64)
    """Of two streams: the layers of the one that sees movement, as many as ``channels``."""
    window: int = 8
    """Of two streams: how many frames become one state."""
    reading: FrameAggregation = "sequence"
    """What is made of the frames: their mean; nothing, so that attention looks at them as they are; what a reader makes
    of their sequence; or, from scratch, the regions of all frames, so that attention has a place and a time."""
    grad_checkpointing: bool = False
    """A pretrained encoder that learns computes its activations twice instead of keeping them."""

    def allowed(self) -> dict[str, tuple[bool, str]]:
        sized = len(self.size) <= 2 and all(side > 0 for side in self.size)
        allowed = super().allowed()
        allowed["channels"] = are_valid_channels(self.channels), f"one or more multiples of {NUM_GROUPS}"
        allowed["size"] = sized, "nothing, one number above 0, or two"
        if self.frontend == "two_stream":
            as_many = are_valid_channels(self.movement) and len(self.movement) == len(self.channels)
            allowed["movement"] = as_many, f"as many multiples of {NUM_GROUPS} as there are channels"
            allowed |= at_least(2, self, "window")
        return allowed


@dataclass(frozen=True, kw_only=True)
class VideoConfig(Config):
    scenes: int = 4000
    """Training videos of the embedded world, where there is no --data."""
    caption: str = "captions"
    """The column with the sentences."""
    text: TextNormalization = "no_punctuation"
    """What is learned: raw sentences, lower-cased, or plain, without punctuation as well."""
    score: Literal["captions", "words"] = "captions"
    """captions: by COCO's metrics, where many sentences are right; words: by word and character errors, where one
    is."""
    frames: FrameConfig = field(default_factory=FrameConfig)
    augment: VideoAugmentConfig = field(default_factory=VideoAugmentConfig)
    encoder: VideoEncoderConfig = field(default_factory=VideoEncoderConfig)


class VideoToText(Task[VideoConfig]):
    width: int  # features a frame, where videos are features; else 0

    def __init__(self, config: VideoConfig):
        super().__init__(config)
        if config.score == "words":
            self.metrics = word_error_metrics(partial(normalize_text, kind=config.text), config.text)
            self.expects_monotonic_alignment = True
        else:
            self.metrics = caption_metrics(exact=config.data is None)
        self.pretrained_config: dict[str, Any] | None = None  # of the pretrained encoder, in a run folder

    @cached_property
    def backbone(self) -> PretrainedImage | PretrainedVideo | None:
        """The pretrained encoder, if one is asked for: as it came, or with the form that a run folder describes."""
        config, side = self.config.encoder, next(iter(self.config.encoder.size), None)
        try:
            if self.pretrained_config is not None:
                rebuild = video_model_from_config if self.pretrained_config["clips"] else image_model_from_config
                return rebuild(self.pretrained_config, grad_checkpointing=config.grad_checkpointing)
            if config.pretrained is None:
                return None
            load = load_video_model if is_video_model(config.pretrained) else load_image_model
            return load(config.pretrained, side, grad_checkpointing=config.grad_checkpointing)
        except ValueError as error:
            raise UsageError(f"--encoder.pretrained: {error}") from error

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames that are read."""
        if self.backbone is not None:
            return self.backbone.extractor.size, self.backbone.extractor.size
        sides = self.config.encoder.size or (64,)
        return sides[0], sides[-1]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the regions that a network from scratch makes of a frame. Raises ValueError for a size
        that its layers can't halve."""
        layers = len(self.config.encoder.channels)
        height, width = self.size
        if height % 2**layers or width % 2**layers:
            raise ValueError(
                f"encoder.size is {height} × {width}; with {layers} numbers of channels allowed are multiples of "
                f"{2**layers}"
            )
        return height // 2**layers, width // 2**layers

    def captions(self, split: str) -> datasets.Dataset:
        """Videos and sentences of a split as they are found."""
        config = self.config
        return toy_captioned_videos(split, config.scenes) if config.data is None else find(config.data, split, config.caption)

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        where = f"{config.data or 'the embedded world'}, {split}"
        table = probe_media(self.captions(split), where, VideoProbe(config.frames, self.size), config.skip_invalid)
        return add_targets(table, config.text, all_captions=config.data is not None)

    def fit(self, examples: datasets.Dataset) -> None:
        self.width = examples[0]["feature_dim"]
        captions = [caption for given in examples["target"] for caption in given]
        self.tokenizer = Tokenizer.train(captions, self.config.vocabulary)

    def state_dict(self) -> dict[str, Any]:
        described = None
        if self.backbone is not None:
            described = self.backbone.to_config() | {"clips": isinstance(self.backbone, PretrainedVideo)}
        return {"target": self.tokenizer.state_dict(), "width": self.width, "pretrained": described}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tokenizer = Tokenizer.from_state_dict(state["target"])
        self.width = state["width"]
        self.pretrained_config = state["pretrained"]

    def build_encoder(self) -> Encoder:
        config, frontend = self.config.encoder, self.build_front()
        regions, sequence = getattr(frontend, "regions", None), config.reading == "sequence"
        if config.reading == "regions" and regions is None:
            raise ValueError(
                "--encoder.frame-aggregation regions needs an encoder from scratch: leave --encoder.pretrained out"
            )
        return VideoEncoder(
            frontend,
            config.hidden,
            reading=config.reading,
            regions=regions or 1,
            reader=build_sequence_encoder(config.hidden, config) if sequence else None,
            dropout=config.dropout,
            pooling=None if sequence else build_pooling(config.summary, config.hidden),
        )

    def build_front(self) -> Frontend:
        config = self.config.encoder
        if self.width:
            if self.backbone is not None:
                raise ValueError("--encoder.pretrained reads videos, and the data are features: leave it out")
            return IdentityFrontend(self.width)
        if self.backbone is not None:
            return FrameCNN(self.backbone) if isinstance(self.backbone, PretrainedImage) else self.backbone
        if config.frontend == "spatiotemporal":
            return Conv3dFrontend(config.channels, self.size)
        regions = math.prod(self.grid)
        if config.frontend == "frames":
            return FrameCNN(SmallResNet(config.channels), regions=regions)
        moving = SmallResNet(config.movement, colors=config.window - 1)
        return TwoStream(SmallResNet(config.channels), moving, regions=regions, window=config.window)

    def source_lengths(self, sources: Sequence[dict[str, Any]]) -> list[int]:
        """In frames."""
        look = VideoProbe(self.config.frames, self.size)
        return [look(source).length for source in sources]

    def source_key(self, source: dict[str, Any]) -> str:
        return f"{media_key(source)} {self.config.frames}"

    def collate_sources(self, sources: Sequence[dict[str, Any]], training: bool) -> SourceBatch:
        if self.width:
            return cache.pad_arrays([read_feature_array(source["path"], "frames") for source in sources])
        clips = [self.clip(source) for source in sources]
        if training:
            clips = [augmented(clip, self.config.augment) for clip in clips]
        lengths = torch.tensor([len(clip) for clip in clips])
        values = pad_sequence(clips, batch_first=True)  # (batch, frames, 3, height, width)
        return SourceBatch(values, torch.arange(values.size(1)) < lengths[:, None])

    def clip(self, source: dict[str, Any]) -> Tensor:
        """UInt8[Tensor, "frames 3 height width"]: what is read of a video."""
        return torch.from_numpy(read_frames(file_content(source), self.config.frames, self.size)).permute(0, 3, 1, 2)

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        if self.config.score == "words":
            return {}
        return caption_diversity(hypotheses, lambda: self.captions("train")["captions"])

    def parse(self, arguments: Sequence[str]) -> list[list[InputSegment]]:
        return parse_file_inputs(arguments, self.wrong, is_folder_of_frames)

    def wrong(self, file: dict[str, Any]) -> str | None:
        """Why this model can't read a file, or None."""
        found = VideoProbe(self.config.frames, self.size)(file)
        if found.problem or found.feature_dim == self.width:
            return found.problem
        kinds = [f"features of {width} numbers" if width else "pixels" for width in (found.feature_dim, self.width)]
        return f"holds {kinds[0]}, and this model reads {kinds[1]}"

    def export(self, source: dict[str, Any], path: Path) -> None:
        write_video(read_frames(file_content(source), self.config.frames, None), path.with_suffix(".mp4"))

    def render(self, source: dict[str, Any], hypothesis: list[int], weights: Tensor, path: Path) -> None:
        tokens = self.tokenizer.display_tokens([*hypothesis, EOS])[: len(weights)]
        if self.width:
            return plot_alignment(weights, tokens, [str(state + 1) for state in range(weights.size(1))], path)
        frames = read_frames(file_content(source), self.config.frames, None)
        if self.config.encoder.reading != "regions":
            return plot_frame_attention(frames, weights, tokens, path)
        plot_region_attention(frames, weights.unflatten(1, (-1, *self.grid)), tokens, path)


def is_folder_of_frames(path: Path) -> bool:
    """A folder with files, none of which is a video or features: one video, not a collection of them."""
    if not path.is_dir():
        return False
    suffixes = {file.suffix.lower() for file in path.iterdir() if file.is_file()}
    return bool(suffixes) and suffixes.isdisjoint({*SUFFIXES, ".gif", ".npy", ".jsonl", ".csv"})
