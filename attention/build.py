"""Build attention from its configuration."""

from attention.base import Attention
from attention.config import AttentionConfig
from attention.fixed_context import FixedContext
from attention.hard import CategoricalSelector, GumbelSelector, ReinforceLoss
from attention.hierarchical import HierarchicalSoftmax
from attention.locality import build_locality
from attention.losses import NO_ATTENTION_LOSSES, AttentionLossWeights
from attention.multihead import MultiHeadAttention
from attention.score_functions import build_score, segment_score_name
from attention.scored import ScoredAttention


def build_attention(config: AttentionConfig, query_dim: int, memory_dim: int) -> Attention:
    """Build the attention of ``config`` for queries of ``query_dim`` and memories of ``memory_dim`` features.

    Raises:
        ValueError: if the heads do not divide both sizes.
    """
    if config.score == "none":
        return FixedContext(memory_dim)
    heads = config.num_heads
    if query_dim % heads or memory_dim % heads:
        raise ValueError(
            f"attention.num_heads is {heads}, which does not divide both the decoder's {query_dim} and the encoder's "
            f"{memory_dim} features"
        )
    head_dims = query_dim // heads, memory_dim // heads, config.hidden_dim // heads
    segment_attention = locality = selector = None
    if config.hierarchy == "hierarchical":
        segment_score = build_score(segment_score_name(config.score), *head_dims)
        segment_attention = HierarchicalSoftmax(segment_score, config.segment_size)
    if config.locality != "global":
        locality = build_locality(config.locality, head_dims[0], head_dims[2], config.window_size)
    if config.selection == "hard":
        reinforce = config.estimator == "reinforce"
        selector = CategoricalSelector() if reinforce else GumbelSelector(config.gumbel_temperature)
    score = build_score(config.score, *head_dims)
    head = ScoredAttention(
        score, head_dims[1], segment_attention=segment_attention, locality=locality, selector=selector
    )
    return head if heads == 1 else MultiHeadAttention(head, query_dim, memory_dim, heads)


def build_reinforce_loss(config: AttentionConfig) -> ReinforceLoss | None:
    """Build the loss of sampled attention, or None if the attention does not need one."""
    needed = config.score != "none" and config.selection == "hard" and config.estimator == "reinforce"
    return ReinforceLoss(entropy_weight=config.entropy_weight) if needed else None


def build_attention_losses(config: AttentionConfig) -> AttentionLossWeights:
    """Collect the weights of the auxiliary attention losses; without attention there are none."""
    if config.score == "none":
        return NO_ATTENTION_LOSSES
    return AttentionLossWeights(config.guidance_weight, config.doubly_stochastic_weight, config.coverage_weight)
