"""Encoders: one for each modality, all returning the same Memory."""

from encoders.base import Encoder, Memory, Source
from encoders.recurrent import Recurrent
from encoders.text import TextEncoder

__all__ = ["Encoder", "Memory", "Recurrent", "Source", "TextEncoder"]
