"""Decoders: what writes a sentence from a Memory, and how the best sentence is searched for."""

from decoders.base import BOS, EOS, PAD, UNK, Decoder, Readout, State
from decoders.ensemble import Ensemble, Memories
from decoders.hypothesis import Hypothesis, SearchConfig
from decoders.lstm import RecurrentDecoder
from decoders.search import beam_search, sample
from decoders.stepwise import Stepwise

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "UNK",
    "Decoder",
    "Ensemble",
    "Hypothesis",
    "Memories",
    "Readout",
    "RecurrentDecoder",
    "SearchConfig",
    "State",
    "Stepwise",
    "beam_search",
    "sample",
]
