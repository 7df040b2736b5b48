"""Encoders: one for each modality, all returning the same Memory."""

from encoders.base import Encoder, FrontEnd, Memory, Source, Unchanged
from encoders.pretrained import Pretrained
from encoders.pretrained_speech import load_speech_model, rebuild_speech_model
from encoders.recurrent import Recurrent
from encoders.speech import Convolutions, SpeechEncoder
from encoders.text import TextEncoder

__all__ = [
    "Convolutions",
    "Encoder",
    "FrontEnd",
    "Memory",
    "Pretrained",
    "Recurrent",
    "Source",
    "SpeechEncoder",
    "TextEncoder",
    "Unchanged",
    "load_speech_model",
    "rebuild_speech_model",
]
