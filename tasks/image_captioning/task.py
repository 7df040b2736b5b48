"""Image captioning: an image in, a sentence about it out."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from encoders.base import Encoder, SourceBatch
from encoders.build import build_sequence_encoder
from encoders.config import NoSequenceEncoderConfig
from encoders.image import ImageEncoder, SmallResNet
from encoders.pooling import build_pooling
from encoders.pretrained.image import PretrainedImage, image_model_from_config, load_image_model
from tasks.common.analysis.views import ImageView
from tasks.common.captioning_task import CaptioningTask
from tasks.common.data.images import load_pixels, open_image
from tasks.common.data.inputs import BuiltinInput
from tasks.common.data.media_files import MediaError, file_content, read_feature_array
from tasks.common.export.inputs import ExportedInput, example_mask
from tasks.image_captioning.config import ImageConfig
from tasks.image_captioning.data import ImageProbe, read_captioned_images
from tasks.toy_world.datasets import TRAIN_PER_TEST, toy_captioned_images

if TYPE_CHECKING:
    import datasets

DEFAULT_SIZE = 64  # height and width in pixels of images for a network trained from scratch
EXPORTED_REGIONS = 64  # regions of the example with which a model of features is exported
PLOT_SIZE = 384  # pixels of the longer side of the image in a plot


class ImageCaptioning(CaptioningTask[ImageConfig]):
    """Describe an image. Regions are the cells of a feature map, the patches of a ViT, or rows of a .npy file."""

    source_unit = "regions"
    input_kinds = ("image",)
    hub_task = "image-to-text"

    def __init__(self, config: ImageConfig):
        super().__init__(config)
        self.source_image = self.open_source

    @property
    def probe(self) -> ImageProbe:
        """The check that a file can be read, made before training."""
        return ImageProbe()

    @cached_property
    def image_size(self) -> int:
        """Height and width of the input image in pixels."""
        if isinstance(self.backbone, PretrainedImage):
            return self.backbone.preprocessor.size
        return self.config.encoder.size or DEFAULT_SIZE

    def toy_examples(self, split: str) -> "datasets.Dataset":
        return toy_captioned_images(split, self.config.num_scenes)

    def read_examples(self, data: str, split: str) -> "datasets.Dataset":
        return read_captioned_images(data, split, self.config.caption_column)

    def builtin_inputs(self, count: int) -> list[BuiltinInput]:
        table = toy_captioned_images("test", TRAIN_PER_TEST * count)
        pairs = zip(table["source"], table["captions"], strict=True)
        return [BuiltinInput(source["bytes"], captions[0]) for source, captions in pairs]

    def load_backbone(self, name: str) -> PretrainedImage:
        config = self.config.encoder
        return load_image_model(name, config.size or None, grad_checkpointing=config.grad_checkpointing)

    def backbone_from_config(self, config: dict[str, Any]) -> PretrainedImage:
        return image_model_from_config(config, grad_checkpointing=self.config.encoder.grad_checkpointing)

    def build_encoder(self) -> Encoder:
        config = self.config.encoder
        if self.feature_dim:
            frontend, num_regions = self.build_feature_frontend(), None
        elif isinstance(self.backbone, PretrainedImage):
            frontend, num_regions = self.backbone, self.backbone.num_regions
        else:
            frontend = SmallResNet(config.channels)
            stride = 2 ** len(config.channels)
            if self.image_size % stride:
                raise ValueError(
                    f"encoder.size is {self.image_size}; with {len(config.channels)} encoder.channels it must be a "
                    f"multiple of {stride}"
                )
            num_regions = (self.image_size // stride) ** 2
        sequence_encoder = pooling = None
        if isinstance(config.sequence, NoSequenceEncoderConfig):
            pooling = build_pooling(config.sequence.pooling, config.sequence.hidden_dim)
        else:
            sequence_encoder = build_sequence_encoder(config.sequence.hidden_dim, config.sequence)
        return ImageEncoder(
            frontend,
            config.sequence.hidden_dim,
            num_regions=num_regions,
            dropout=config.sequence.dropout,
            sequence_encoder=sequence_encoder,
            pooling=pooling,
            normalize=self.normalizes_states,
        )

    def source_lengths(self, sources: Sequence[dict[str, Any]]) -> list[int]:
        """Return 1 for each image, since all have the same size; for precomputed features, the number of regions."""
        if not self.feature_dim:
            return [1] * len(sources)
        return [len(read_feature_array(source["path"], "regions")) for source in sources]

    def collate_pixels(self, sources: Sequence[dict[str, Any]], training: bool) -> SourceBatch:
        augment = self.config.augment if training else None
        pixels = torch.stack([load_pixels(file_content(source), self.image_size, augment) for source in sources])
        return SourceBatch(pixels, torch.ones(len(sources), 1, dtype=torch.bool))

    def open_source(self, source: dict[str, Any]) -> Image.Image:
        """Open the image of a source. Raises MediaError for features."""
        if self.feature_dim:
            raise MediaError("holds features, not the image")
        return open_image(file_content(source))

    def exported_input(self) -> ExportedInput:
        if self.feature_dim:
            mask = example_mask(EXPORTED_REGIONS)
            example = SourceBatch(torch.randn(*mask.shape, self.feature_dim) * mask[..., None], mask)
            return ExportedInput("infer_image.py", example, {"size": 0}, packages=["pillow"])
        pixels = torch.randint(256, (2, 3, self.image_size, self.image_size), dtype=torch.uint8)
        example = SourceBatch(pixels, torch.ones(2, 1, dtype=torch.bool))
        return ExportedInput("infer_image.py", example, {"size": self.image_size}, packages=["pillow"])

    def view_media(self, source: dict[str, Any], weights: Tensor) -> ImageView:
        image = open_image(file_content(source), PLOT_SIZE)
        scale = PLOT_SIZE / max(image.size)
        image = image.resize((max(1, round(scale * image.width)), max(1, round(scale * image.height))))
        return ImageView(weights.unflatten(1, (math.isqrt(weights.size(1)), -1)), image)
