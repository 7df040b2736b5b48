"""Decoders: they generate a sentence from a Memory, by any search."""

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import BOS, EOS, NEG_INF, PAD, UNK, Constraint, Decoder, DecoderOutput, DecoderState, Hypothesis
from decoders.config import SearchConfig
from decoders.ctc import CTC
from decoders.ensemble import Ensemble, EnsembleMemory
from decoders.joint_ctc import JointCTCAttention
from decoders.pointer_generator import PointerGenerator
from decoders.recurrent import RecurrentDecoder
from decoders.s2vt import S2VT
from decoders.search import beam_search, sample
from decoders.transducer import Transducer
from decoders.transformer import TransformerDecoder

__all__ = [
    "BOS",
    "CTC",
    "EOS",
    "NEG_INF",
    "PAD",
    "S2VT",
    "UNK",
    "AutoregressiveDecoder",
    "Constraint",
    "Decoder",
    "DecoderOutput",
    "DecoderState",
    "Ensemble",
    "EnsembleMemory",
    "Hypothesis",
    "JointCTCAttention",
    "PointerGenerator",
    "RecurrentDecoder",
    "SearchConfig",
    "Transducer",
    "TransformerDecoder",
    "beam_search",
    "sample",
]
