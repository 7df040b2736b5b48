"""Parts shared by the decoders that read the source frame by frame, CTC and the transducer."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from decoders.base import BOS, EOS, PAD, Constraint
from decoders.config import SearchConfig

PREFIX_HASH_MULTIPLIER = 6364136223846793005
"""Multiplier of the keys by which a search recognizes equal prefixes: Knuth's linear congruential one, modulo 2^64."""

DEFAULTS = SearchConfig()


def is_label(tokens: Int[Tensor, "*positions"]) -> Bool[Tensor, "*positions"]:
    """Return which tokens a frame-synchronous decoder generates: all but padding, BOS and EOS."""
    return (tokens != PAD) & (tokens != BOS) & (tokens != EOS)


def strip_bos_eos(
    tokens: Int[Tensor, "batch target"],
) -> tuple[Int[Tensor, "batch longest"], Int[Tensor, " batch"]]:
    """Return sentences without BOS and EOS, padded to the longest of them, and their lengths."""
    is_real = is_label(tokens)
    lengths = is_real.sum(dim=1)
    return torch.where(is_real, tokens, PAD)[:, 1 : 1 + int(lengths.max())], lengths


def unsupported_settings(config: SearchConfig) -> list[str]:
    """List the settings of a search, as they are set, that only a label-synchronous decoder can follow.

    Without EOS an empty sentence is always possible and scores are not divided by the length, so a ``length_penalty``
    of 0 and a ``min_length`` of 0 describe what frame-synchronous decoders do, and are accepted like the defaults.
    """
    has_no_effect = {
        "sample": config.sample,
        "temperature": config.temperature != DEFAULTS.temperature,
        "top_k": config.top_k != DEFAULTS.top_k,
        "top_p": config.top_p != DEFAULTS.top_p,
        "no_repeat_ngram": config.no_repeat_ngram != DEFAULTS.no_repeat_ngram,
        "coverage_penalty": config.coverage_penalty != DEFAULTS.coverage_penalty,
        "ctc_weight": config.ctc_weight is not None,
        "min_length": config.min_length > 1,
        "length_penalty": config.length_penalty not in (0.0, DEFAULTS.length_penalty),
    }
    return [name for name, is_unsupported in has_no_effect.items() if is_unsupported]


def check_frame_synchronous(config: SearchConfig, constraint: Constraint | None) -> None:
    """Refuse the settings that only a label-synchronous decoder can follow: see ``unsupported_settings``.

    Raises:
        ValueError: for the first setting that would have no effect, or for a constraint.
    """
    needs = (
        "needs a label-synchronous decoder (one that predicts token by token), such as decoder.kind recurrent, "
        "transformer or s2vt"
    )
    for name in unsupported_settings(config):
        raise ValueError(f"search.{name} is {getattr(config, name)}, which {needs}; leave it out")
    if constraint is not None:
        raise ValueError(f"a constraint of the search {needs}")
