"""The scales at the start of training: attention is broad, whatever the encoder and the score."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from attention.config import AttentionConfig
from decoders.build import build_decoder
from decoders.config import RecurrentDecoderConfig
from encoders.base import Encoder, IdentityFrontend, SourceBatch
from encoders.build import build_sequence_encoder
from encoders.config import (
    ConvS2SEncoderConfig,
    RecurrentEncoderConfig,
    SequenceEncoderConfig,
    TransformerEncoderConfig,
)
from encoders.image import ImageEncoder, SmallResNet
from encoders.speech import ConvSubsampling, SpeechEncoder
from encoders.text import TextEncoder, TokenEmbedding
from encoders.video import VideoEncoder
from encoders.video_frontends import Conv3dFrontend
from tasks.common.training.initialization import init_weights

BATCH, NUM_STATES, VOCAB_SIZE = 6, 40, 2000
MASK = torch.ones(BATCH, NUM_STATES, dtype=torch.bool)


def region_features() -> SourceBatch:
    """Features after a ReLU, as pretrained networks return them."""
    return SourceBatch(torch.randn(BATCH, NUM_STATES, 1280).relu(), MASK)


def pixels(*shape: int) -> SourceBatch:
    values = torch.randint(256, (BATCH, *shape), dtype=torch.uint8)
    return SourceBatch(values, torch.ones(BATCH, values.size(1) if len(shape) > 3 else 1, dtype=torch.bool))


def text(config: SequenceEncoderConfig) -> tuple[Encoder, SourceBatch]:
    encoder = TextEncoder(
        TokenEmbedding(nn.Embedding(VOCAB_SIZE, 128, padding_idx=0)), build_sequence_encoder(128, config)
    )
    return encoder, SourceBatch(torch.randint(4, VOCAB_SIZE, MASK.shape), MASK)


def image_of(config: SequenceEncoderConfig | None) -> tuple[Encoder, SourceBatch]:
    layers = None if config is None else build_sequence_encoder(256, config)
    encoder = ImageEncoder(
        IdentityFrontend(1280), 256, num_regions=NUM_STATES, sequence_encoder=layers, normalize=config is None
    )
    return encoder, region_features()


def video_of(config: SequenceEncoderConfig | None) -> tuple[Encoder, SourceBatch]:
    layers = None if config is None else build_sequence_encoder(256, config)
    encoder = VideoEncoder(
        IdentityFrontend(1280), 256, frame_aggregation="frames", sequence_encoder=layers, normalize=config is None
    )
    return encoder, region_features()


def speech(pyramid_layers: int) -> tuple[Encoder, SourceBatch]:
    def build_layer(input_dim: int, num_layers: int, is_top: bool):
        return build_sequence_encoder(input_dim, RecurrentEncoderConfig(hidden_dim=128, num_layers=num_layers))

    encoder = SpeechEncoder(ConvSubsampling(80, 16, 2), build_layer, num_layers=3, pyramid_layers=pyramid_layers)
    frames = 4 * NUM_STATES
    return encoder, SourceBatch(torch.randn(BATCH, frames, 80), torch.ones(BATCH, frames, dtype=torch.bool))


ENCODERS: dict[str, Callable[[], tuple[Encoder, SourceBatch]]] = {
    "text, recurrent": lambda: text(RecurrentEncoderConfig()),
    "text, Transformer": lambda: text(TransformerEncoderConfig(hidden_dim=256, num_layers=2)),
    "text, convolutional": lambda: text(ConvS2SEncoderConfig(hidden_dim=256, num_layers=2)),
    "image, pretrained": lambda: image_of(None),
    "image, recurrent": lambda: image_of(RecurrentEncoderConfig()),
    "image from scratch": lambda: (ImageEncoder(SmallResNet((16, 32, 64)), 256, num_regions=36), pixels(3, 48, 48)),
    "video, pretrained": lambda: video_of(None),
    "video, Transformer": lambda: video_of(TransformerEncoderConfig(hidden_dim=256, num_layers=2)),
    "video from scratch": lambda: (
        VideoEncoder(Conv3dFrontend((8, 16, 32), (32, 32)), 256, frame_aggregation="frames"),
        pixels(12, 3, 32, 32),
    ),
    "speech": lambda: speech(0),
    "speech, pyramid": lambda: speech(1),
}


SMALL_STATES = ["image, pretrained", "video, pretrained", "text, recurrent", "image, recurrent", "speech"]


@pytest.mark.parametrize(
    ("name", "score"),
    [
        *itertools.product(ENCODERS, ["scaled_dot", "cosine", "concat", "additive", "location", "coverage"]),
        *itertools.product(SMALL_STATES, ["dot", "general"]),  # these scores grow with the states
    ],
)
def test_attention_starts_broad(name, score):
    torch.manual_seed(0)
    encoder, source = ENCODERS[name]()
    config = RecurrentDecoderConfig(hidden_dim=256, embedding_dim=128, dropout=0.0)
    decoder = build_decoder(config, AttentionConfig(score=score), vocab_size=VOCAB_SIZE, memory_dim=encoder.dim)
    model = nn.ModuleList([encoder, decoder]).eval()
    init_weights(model, "xavier")
    tokens = torch.randint(4, VOCAB_SIZE, (BATCH, 12))
    with torch.no_grad():
        memory = encoder(source)
        weights = decoder.alignment(tokens, memory)
    entropy = torch.special.entr(weights).sum(dim=-1).mean() / math.log(memory.mask.size(1))
    assert entropy >= 0.8
