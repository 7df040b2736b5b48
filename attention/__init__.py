"""Attention: what a decoder looks at, and how."""

from attention.base import Attention, Glance, Lookup, NoAttention, Score, SoftAttention
from attention.multihead import MultiHead
from attention.scores import Additive, Concat, Cosine, Dot, General, ScaledDot, ScoreName, build_score

__all__ = [
    "Additive",
    "Attention",
    "Concat",
    "Cosine",
    "Dot",
    "General",
    "Glance",
    "Lookup",
    "MultiHead",
    "NoAttention",
    "ScaledDot",
    "Score",
    "ScoreName",
    "SoftAttention",
    "build_score",
]
