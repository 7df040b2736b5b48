"""Attention: what a decoder looks at, and how."""

from attention.base import Attention, Blind, Glance, Lookup, NoAttention, Region, Score, SoftAttention
from attention.doubly_stochastic import doubly_stochastic_loss
from attention.guided import diagonality, guided_loss
from attention.location import LocationAttention
from attention.multihead import MultiHead
from attention.regions import MonotonicRegion
from attention.scores import Additive, Concat, Cosine, Dot, General, ScaledDot, ScoreName, build_score

__all__ = [
    "Additive",
    "Attention",
    "Blind",
    "Concat",
    "Cosine",
    "Dot",
    "General",
    "Glance",
    "LocationAttention",
    "Lookup",
    "MonotonicRegion",
    "MultiHead",
    "NoAttention",
    "Region",
    "ScaledDot",
    "Score",
    "ScoreName",
    "SoftAttention",
    "build_score",
    "diagonality",
    "doubly_stochastic_loss",
    "guided_loss",
]
