"""Attention: scores, localities, selectors, hierarchies and heads, in any combination."""

from attention.alignment_metrics import coverage, diagonality, entropy
from attention.base import Attention, AttentionOutput, cat_outputs
from attention.build import build_attention, build_attention_losses, build_reinforce_loss
from attention.config import AttentionConfig
from attention.fixed_context import FixedContext, NoContext
from attention.hard import CategoricalSelector, GumbelSelector, ReinforceLoss
from attention.hierarchical import HierarchicalSoftmax
from attention.key_values import KeyValues, Segments
from attention.locality import LocalityName, LocalM, LocalP, MonotonicGaussian, build_locality
from attention.losses import (
    NO_ATTENTION_LOSSES,
    AttentionLossWeights,
    coverage_loss,
    doubly_stochastic_loss,
    guided_attention_loss,
)
from attention.memory import Memory
from attention.multihead import MultiHeadAttention
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
from attention.state import AttentionState, SampleInfo

__all__ = [
    "NO_ATTENTION_LOSSES",
    "Additive",
    "Attention",
    "AttentionConfig",
    "AttentionLossWeights",
    "AttentionOutput",
    "AttentionState",
    "CategoricalSelector",
    "Concat",
    "Cosine",
    "Dot",
    "FixedContext",
    "General",
    "GumbelSelector",
    "HierarchicalSoftmax",
    "KeyValues",
    "LocalM",
    "LocalP",
    "Locality",
    "LocalityName",
    "LocationSensitive",
    "Memory",
    "MonotonicGaussian",
    "MultiHeadAttention",
    "NoContext",
    "ReinforceLoss",
    "SampleInfo",
    "ScaledDot",
    "Score",
    "ScoreName",
    "ScoredAttention",
    "SegmentAttention",
    "Segments",
    "Selector",
    "build_attention",
    "build_attention_losses",
    "build_locality",
    "build_reinforce_loss",
    "build_score",
    "cat_outputs",
    "coverage",
    "coverage_loss",
    "diagonality",
    "doubly_stochastic_loss",
    "entropy",
    "guided_attention_loss",
]
