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

from decoders.base import EOS
from encoders.base import Encoder, Source, Unchanged
from encoders.image import GROUPS, ConvNet, ImageEncoder, groupable
from encoders.pooling import build_pooling
from encoders.pretrained.image import PretrainedImage, load_image_model, rebuild_image_model
from tasks.common.analysis.plots import draw_alignment, draw_looking
from tasks.common.config import Config, ReaderConfig
from tasks.common.data import cache
from tasks.common.data.captioned_media import checked, content, identity, read_features, with_targets
from tasks.common.data.images import AugmentConfig, open_picture, problem, read_picture
from tasks.common.data.inputs import pieces_of
from tasks.common.errors import UsageError, at_least
from tasks.common.metrics.captions import caption_metrics, diversity
from tasks.common.model import build_reader
from tasks.common.task import Piece, Task
from tasks.common.text.normalization import Normalisation
from tasks.common.text.tokenizer import Vocabulary
from tasks.image_captioning.data import PictureLook, find, find_scenes

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
    """What reads the regions, if it has any layers: see --encoder.layers."""
    layers: int = 0
    """Of what reads the regions; 0: the decoder looks at them as they are."""
    checkpointing: bool = False
    """A pretrained encoder that learns computes its activations twice instead of keeping them."""

    def allowed(self) -> dict[str, tuple[bool, str]]:
        channels = groupable(self.channels), f"one or more multiples of {GROUPS}"
        return super().allowed() | at_least(0, self, "size", "layers") | {"channels": channels}


@dataclass(frozen=True, kw_only=True)
class ImageConfig(Config):
    scenes: int = 8000
    """Training pictures of the embedded world, where there is no --data."""
    caption: str = "captions"
    """The column with the captions."""
    text: Normalisation = "plain"
    """What is learned: raw captions, lower-cased, or plain, without punctuation as well."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)


class ImageCaptioning(Task[ImageConfig]):
    width: int  # features a region, where pictures are features; else 0

    def __init__(self, config: ImageConfig):
        super().__init__(config)
        self.metrics = caption_metrics(exact=config.data is None)
        self.description: dict[str, Any] | None = None  # of the pretrained encoder, in a run folder

    @cached_property
    def body(self) -> PretrainedImage | None:
        """The pretrained encoder, if one is asked for: as it came, or with the form that a run folder describes."""
        config = self.config.encoder
        if self.description is not None:
            return rebuild_image_model(self.description, checkpointing=config.checkpointing)
        if config.pretrained is None:
            return None
        try:
            return load_image_model(config.pretrained, config.size or None, checkpointing=config.checkpointing)
        except ValueError as error:
            raise UsageError(f"--encoder.pretrained: {error}") from error

    @cached_property
    def side(self) -> int:
        return self.body.extractor.size if self.body else self.config.encoder.size or 64

    def captions(self, split: str) -> datasets.Dataset:
        """Pictures and captions of a split as they are found."""
        config = self.config
        return find_scenes(split, config.scenes) if config.data is None else find(config.data, split, config.caption)

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        where = f"{config.data or 'the embedded world'}, {split}"
        table = checked(self.captions(split), where, PictureLook(), config.skip_bad)
        return with_targets(table, config.text, all_learned=config.data is not None)

    def fit(self, examples: datasets.Dataset) -> None:
        self.width = examples[0]["width"]
        captions = [caption for given in examples["target"] for caption in given]
        self.vocabulary = Vocabulary.train(captions, self.config.vocabulary)

    def state(self) -> dict[str, Any]:
        return {
            "target": self.vocabulary.state(),
            "width": self.width,
            "pretrained": None if self.body is None else self.body.describe(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.vocabulary = Vocabulary.restore(state["target"])
        self.width = state["width"]
        self.description = state["pretrained"]

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        if self.width:
            if self.body is not None:
                raise ValueError("--encoder.pretrained reads pictures, and the data are features: leave it out")
            front, regions = Unchanged(self.width), None
        elif self.body is not None:
            front, regions = self.body, self.body.regions
        else:
            front = ConvNet(config.channels)
            if self.side % 2 ** len(config.channels):
                raise ValueError(
                    f"encoder.size is {self.side}; with {len(config.channels)} numbers of channels allowed are "
                    f"multiples of {2 ** len(config.channels)}"
                )
            regions = (self.side // 2 ** len(config.channels)) ** 2
        return ImageEncoder(
            front,
            config.hidden,
            regions=regions,
            dropout=config.dropout,
            reader=build_reader(config.hidden, config) if config.layers else None,
            pooling=None if config.layers else build_pooling(config.summary, config.hidden),
        )

    def source_lengths(self, sources: Sequence[dict[str, Any]]) -> list[int]:
        """In pictures, or in regions where pictures are features."""
        return [len(read_features(source["path"], "regions")) if self.width else 1 for source in sources]

    def identify(self, source: dict[str, Any]) -> str:
        return identity(source)

    def collate_sources(self, sources: Sequence[dict[str, Any]], training: bool) -> Source:
        if self.width:
            return cache.stack([read_features(source["path"], "regions") for source in sources])
        augment = self.config.augment if training else None
        pixels = torch.stack([read_picture(content(source), self.side, augment) for source in sources])
        return Source(pixels, torch.ones(len(sources), 1, dtype=torch.bool))

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        return diversity(hypotheses, lambda: self.captions("train")["captions"])

    def parse(self, arguments: Sequence[str]) -> list[list[Piece]]:
        return pieces_of(arguments, self.wrong)

    def wrong(self, file: dict[str, Any]) -> str | None:
        """Why this model can't read a file, or None."""
        if not self.width:
            return problem(content(file))
        width = read_features(file["path"] or "", "regions").shape[1]
        return None if width == self.width else f"has {width} features a region, and this model reads {self.width}"

    def export(self, source: dict[str, Any], path: Path) -> None:
        path.with_suffix(".png").write_bytes(source["bytes"])

    def render(self, source: dict[str, Any], hypothesis: list[int], weights: Tensor, path: Path) -> None:
        words = self.vocabulary.pieces([*hypothesis, EOS])[: len(weights)]
        if self.width:
            return draw_alignment(weights, words, [str(region + 1) for region in range(weights.size(1))], path)
        picture = open_picture(content(source), SHOWN).resize((SHOWN, SHOWN))
        rows = math.isqrt(weights.size(1))
        draw_looking(picture, weights.unflatten(1, (rows, -1)), words, path)
