"""Encoders: one for each modality, all returning the same Memory."""

from encoders.base import Encoder, Frontend, IdentityFrontend, Memory, SequenceEncoder, SourceBatch
from encoders.convolutional import ConvS2SEncoder
from encoders.pooling import AttentivePooling, MeanPooling
from encoders.pretrained.base import PretrainedFrontend
from encoders.pretrained.speech import load_speech_model, speech_model_from_config
from encoders.recurrent import RecurrentEncoder
from encoders.speech import ConvSubsampling, SpeechEncoder
from encoders.text import TextEncoder
from encoders.transformer import TransformerEncoder

__all__ = [
    "Attentive",
    "Convolutional",
    "Convolutions",
    "Encoder",
    "FrontEnd",
    "Mean",
    "Memory",
    "Pretrained",
    "Reader",
    "Recurrent",
    "Source",
    "SpeechEncoder",
    "TextEncoder",
    "Transformer",
    "Unchanged",
    "load_speech_model",
    "rebuild_speech_model",
]
