"""Decoders: what writes a sentence from a Memory, and how the best sentence is searched for."""

from decoders.autoregressive import Stepwise
from decoders.base import BOS, EOS, PAD, UNK, Decoder, Readout, State
from decoders.ctc import CTC
from decoders.ensemble import Ensemble, Memories
from decoders.joint_ctc import Joint
from decoders.pointer_generator import Copying
from decoders.recurrent import RecurrentDecoder
from decoders.s2vt import S2VT
from decoders.search import beam_search, sample
from decoders.search_config import Hypothesis, SearchConfig
from decoders.transducer import Transducer
from decoders.transformer import TransformerDecoder

__all__ = [
    "BOS",
    "CTC",
    "EOS",
    "PAD",
    "S2VT",
    "UNK",
    "Copying",
    "Decoder",
    "Ensemble",
    "Hypothesis",
    "Joint",
    "Memories",
    "Readout",
    "RecurrentDecoder",
    "SearchConfig",
    "State",
    "Stepwise",
    "Transducer",
    "TransformerDecoder",
    "beam_search",
    "sample",
]
