"""Attention: what a decoder looks at, and how."""

from attention.alignment_metrics import coverage, diagonality, entropy
from attention.base import Attention, Blind, Drawn, Glance, Lookup, NoAttention, Segments
from attention.doubly_stochastic import doubly_stochastic_loss
from attention.guided import guided_loss
from attention.hard import Gumbel, Reinforce, Sampled
from attention.hierarchical import TwoLevels
from attention.locality import LocalMonotonic, LocalPredictive, MonotonicRegion, RegionName, build_region
from attention.losses import NO_LOSSES, LookLosses
from attention.multihead import MultiHead
from attention.repetition import coverage_loss
from attention.score_functions import (
    Additive,
    Concat,
    Cosine,
    Dot,
    General,
    Location,
    ScaledDot,
    ScoreName,
    build_score,
)
from attention.scored import Draw, Hierarchy, Region, Score, ScoredAttention

__all__ = [
    "NO_LOSSES",
    "Additive",
    "Attention",
    "Blind",
    "Concat",
    "Cosine",
    "Dot",
    "Draw",
    "Drawn",
    "General",
    "Glance",
    "Gumbel",
    "Hierarchy",
    "LocalMonotonic",
    "LocalPredictive",
    "Location",
    "LookLosses",
    "Lookup",
    "MonotonicRegion",
    "MultiHead",
    "NoAttention",
    "Region",
    "RegionName",
    "Reinforce",
    "Sampled",
    "ScaledDot",
    "Score",
    "ScoreName",
    "ScoredAttention",
    "Segments",
    "TwoLevels",
    "build_region",
    "build_score",
    "coverage",
    "coverage_loss",
    "diagonality",
    "doubly_stochastic_loss",
    "entropy",
    "guided_loss",
]
