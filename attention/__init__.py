"""Attention: what a decoder looks at, and how."""

from attention.alignment_metrics import coverage, diagonality, entropy
from attention.base import Attention, AttentionOutput, FixedContext, KeyValues, NoContext, SampleInfo, Segments
from attention.doubly_stochastic import doubly_stochastic_loss
from attention.guided import guided_attention_loss
from attention.hard import CategoricalSelector, GumbelSelector, ReinforceLoss
from attention.hierarchical import HierarchicalSoftmax
from attention.locality import LocalityName, LocalM, LocalP, MonotonicGaussian, build_locality
from attention.losses import NO_ATTENTION_LOSSES, AttentionLossWeights
from attention.multihead import MultiHeadAttention
from attention.repetition import coverage_loss
from attention.score_functions import (
    Additive,
    Concat,
    Cosine,
    Dot,
    General,
    LocationSensitive,
    ScaledDot,
    ScoreName,
    build_score,
)
from attention.scored import Locality, Score, ScoredAttention, SegmentAttention, Selector

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
