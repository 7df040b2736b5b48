"""Encoders: one for each modality, all returning the same Memory."""

from encoders.base import Encoder, FrontEnd, Memory, Reader, Source, Unchanged
from encoders.convolutional import Convolutional
from encoders.pooling import Attentive, Mean
from encoders.pretrained.base import Pretrained
from encoders.pretrained.speech import load_speech_model, rebuild_speech_model
from encoders.recurrent import Recurrent
from encoders.speech import Convolutions, SpeechEncoder
from encoders.text import TextEncoder
from encoders.transformer import Transformer

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
