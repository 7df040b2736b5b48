"""Image captioning: a picture in, a sentence about it out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
from torch import Tensor

from attention.validation import at_least
from decoders.base import EOS
from encoders.base import Encoder, IdentityFrontend, SourceBatch
from encoders.image import NUM_GROUPS, ImageEncoder, SmallResNet, are_valid_channels
from encoders.pooling import build_pooling
from encoders.pretrained.image import PretrainedImage, image_model_from_config, load_image_model
from tasks.common.analysis.plots import plot_alignment, plot_image_attention
from tasks.common.config import Config, ReaderConfig
from tasks.common.data import cache
from tasks.common.data.captioned_media import add_targets, file_content, media_key, probe_media, read_feature_array
from tasks.common.data.images import ImageAugmentConfig, image_problem, load_pixels, open_image
from tasks.common.data.inputs import InputSegment, parse_file_inputs
from tasks.common.errors import UsageError
from tasks.common.metrics.captions import caption_metrics
from tasks.common.metrics.diversity import caption_diversity
from tasks.common.model import build_sequence_encoder
from tasks.common.task import Task
from tasks.common.text.normalization import TextNormalization
from tasks.common.text.tokenizer import Tokenizer
from tasks.image_captioning.data import ImageProbe, find, find_scenes

SHOWN = 256  # pixels a side, of a picture in a picture


@dataclass(frozen=True, kw_only=True)
class ImageEncoderConfig(ReaderConfig):
    pretrained: str | None = None
    """Folder or hub id of an image model of transformers or timm, or torchvision:NAME; frozen unless
    --train.encoder-lr is set. Without it a small convolutional network is trained from scratch."""
    size: int = 0
    """Pixels a side that pictures are brought to (0: what a pretrained encoder was trained on, and else 64)."""
    channels: tuple[int, ...] = (32, 64, 128)
    """Of the network from scratch: its stem and its blocks, each of which halves the picture's sides."""
    kind: Literal["recurrent", "transformer", "convolutional"] = "transformer"
    """What reads the regions, if it has any layers: see --encoder.num-layers."""
    layers: int = 0
    """Of what reads the regions; 0: the decoder looks at them as they are."""
    grad_checkpointing: bool = False
    """A pretrained encoder that learns computes its activations twice instead of keeping them."""

    def allowed(self) -> dict[str, tuple[bool, str]]:
        channels = are_valid_channels(self.channels), f"one or more multiples of {NUM_GROUPS}"
        return super().allowed() | at_least(0, self, "size", "layers") | {"channels": channels}


@dataclass(frozen=True, kw_only=True)
class ImageConfig(Config):
    scenes: int = 8000
    """Training pictures of the embedded world, where there is no --data."""
    caption: str = "captions"
    """The column with the captions."""
    text: TextNormalization = "no_punctuation"
    """What is learned: raw captions, lower-cased, or plain, without punctuation as well."""
    augment: ImageAugmentConfig = field(default_factory=ImageAugmentConfig)
    encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)


class ImageCaptioning(Task[ImageConfig]):
    width: int  # features a region, where pictures are features; else 0

    def __init__(self, config: ImageConfig):
        super().__init__(config)
        self.metrics = caption_metrics(exact=config.data is None)
        self.pretrained_config: dict[str, Any] | None = None  # of the pretrained encoder, in a run folder

    @cached_property
    def backbone(self) -> PretrainedImage | None:
        """The pretrained encoder, if one is asked for: as it came, or with the form that a run folder describes."""
        config = self.config.encoder
        if self.pretrained_config is not None:
            return image_model_from_config(self.pretrained_config, grad_checkpointing=config.grad_checkpointing)
        if config.pretrained is None:
            return None
        try:
            return load_image_model(
                config.pretrained, config.size or None, grad_checkpointing=config.grad_checkpointing
            )
        except ValueError as error:
            raise UsageError(f"--encoder.pretrained: {error}") from error

    @cached_property
    def side(self) -> int:
        return self.backbone.extractor.size if self.backbone else self.config.encoder.size or 64

    def captions(self, split: str) -> datasets.Dataset:
        """Pictures and captions of a split as they are found."""
        config = self.config
        return find_scenes(split, config.scenes) if config.data is None else find(config.data, split, config.caption)

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        where = f"{config.data or 'the embedded world'}, {split}"
        table = probe_media(self.captions(split), where, ImageProbe(), config.skip_invalid)
        return add_targets(table, config.text, all_captions=config.data is not None)

    def fit(self, examples: datasets.Dataset) -> None:
        self.width = examples[0]["feature_dim"]
        captions = [caption for given in examples["target"] for caption in given]
        self.tokenizer = Tokenizer.train(captions, self.config.vocabulary)

    def state_dict(self) -> dict[str, Any]:
        return {
            "target": self.tokenizer.state_dict(),
            "width": self.width,
            "pretrained": None if self.backbone is None else self.backbone.to_config(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.tokenizer = Tokenizer.from_state_dict(state["target"])
        self.width = state["width"]
        self.pretrained_config = state["pretrained"]

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        if self.width:
            if self.backbone is not None:
                raise ValueError("--encoder.pretrained reads pictures, and the data are features: leave it out")
            frontend, regions = IdentityFrontend(self.width), None
        elif self.backbone is not None:
            frontend, regions = self.backbone, self.backbone.regions
        else:
            frontend = SmallResNet(config.channels)
            if self.side % 2 ** len(config.channels):
                raise ValueError(
                    f"encoder.size is {self.side}; with {len(config.channels)} numbers of channels allowed are "
                    f"multiples of {2 ** len(config.channels)}"
                )
            regions = (self.side // 2 ** len(config.channels)) ** 2
        return ImageEncoder(
            frontend,
            config.hidden,
            regions=regions,
            dropout=config.dropout,
            reader=build_sequence_encoder(config.hidden, config) if config.layers else None,
            pooling=None if config.layers else build_pooling(config.summary, config.hidden),
        )

    def source_lengths(self, sources: Sequence[dict[str, Any]]) -> list[int]:
        """In pictures, or in regions where pictures are features."""
        return [len(read_feature_array(source["path"], "regions")) if self.width else 1 for source in sources]

    def source_key(self, source: dict[str, Any]) -> str:
        return media_key(source)

    def collate_sources(self, sources: Sequence[dict[str, Any]], training: bool) -> SourceBatch:
        if self.width:
            return cache.pad_arrays([read_feature_array(source["path"], "regions") for source in sources])
        augment = self.config.augment if training else None
        pixels = torch.stack([load_pixels(file_content(source), self.side, augment) for source in sources])
        return SourceBatch(pixels, torch.ones(len(sources), 1, dtype=torch.bool))

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        return caption_diversity(hypotheses, lambda: self.captions("train")["captions"])

    def parse(self, arguments: Sequence[str]) -> list[list[InputSegment]]:
        return parse_file_inputs(arguments, self.wrong)

    def wrong(self, file: dict[str, Any]) -> str | None:
        """Why this model can't read a file, or None."""
        if not self.width:
            return image_problem(file_content(file))
        width = read_feature_array(file["path"] or "", "regions").shape[1]
        return None if width == self.width else f"has {width} features a region, and this model reads {self.width}"

    def export(self, source: dict[str, Any], path: Path) -> None:
        path.with_suffix(".png").write_bytes(source["bytes"])

    def render(self, source: dict[str, Any], hypothesis: list[int], weights: Tensor, path: Path) -> None:
        words = self.tokenizer.display_tokens([*hypothesis, EOS])[: len(weights)]
        if self.width:
            return plot_alignment(weights, words, [str(region + 1) for region in range(weights.size(1))], path)
        picture = open_image(file_content(source), SHOWN).resize((SHOWN, SHOWN))
        rows = math.isqrt(weights.size(1))
        plot_image_attention(picture, weights.unflatten(1, (rows, -1)), words, path)
