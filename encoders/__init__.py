"""Encoders, one for each modality; all return a :class:`attention.memory.Memory`."""

from encoders.base import Encoder, Frontend, IdentityFrontend, SequenceEncoder, SourceBatch
from encoders.build import build_sequence_encoder
from encoders.convolutional import ConvS2SEncoder
from encoders.image import ImageEncoder, SmallResNet
from encoders.pooling import AttentivePooling, MeanPooling
from encoders.pretrained.base import PretrainedFrontend
from encoders.recurrent import RecurrentEncoder
from encoders.speech import ConvSubsampling, SpeechEncoder
from encoders.text import TextEncoder, TokenEmbedding
from encoders.transformer import TransformerEncoder
from encoders.video import Conv3dFrontend, FrameCNN, TwoStream, VideoEncoder

__all__ = [
    "AttentivePooling",
    "Conv3dFrontend",
    "ConvS2SEncoder",
    "ConvSubsampling",
    "Encoder",
    "FrameCNN",
    "Frontend",
    "IdentityFrontend",
    "ImageEncoder",
    "MeanPooling",
    "PretrainedFrontend",
    "RecurrentEncoder",
    "SequenceEncoder",
    "SmallResNet",
    "SourceBatch",
    "SpeechEncoder",
    "TextEncoder",
    "TokenEmbedding",
    "TransformerEncoder",
    "TwoStream",
    "VideoEncoder",
    "build_sequence_encoder",
]
