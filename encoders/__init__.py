"""Encoders: one for each modality, all returning the same Memory."""

from encoders.base import Encoder, Memory, Source
from encoders.pretrained import Pretrained, load_speech_model, rebuild
from encoders.recurrent import Recurrent
from encoders.speech import Convolutions, Frames, FrontEnd, SpeechEncoder
from encoders.text import TextEncoder

__all__ = [
    "Convolutions",
    "Encoder",
    "Frames",
    "FrontEnd",
    "Memory",
    "Pretrained",
    "Recurrent",
    "Source",
    "SpeechEncoder",
    "TextEncoder",
    "load_speech_model",
    "rebuild",
]
