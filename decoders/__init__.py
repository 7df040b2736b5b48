"""Decoders: what writes a sentence from a Memory, and how the best sentence is searched for."""

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import BOS, EOS, PAD, UNK, Decoder, DecoderOutput, DecoderState
from decoders.ctc import CTC
from decoders.ensemble import Ensemble, EnsembleMemory
from decoders.joint_ctc import JointCTCAttention
from decoders.pointer_generator import PointerGenerator
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
