"""Parts shared by the decoders that read the source frame by frame, CTC and the transducer."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from decoders.base import BOS, EOS, PAD, Constraint
from decoders.config import SearchConfig, unsupported_settings

PREFIX_HASH_MULTIPLIER = 6364136223846793005
"""Multiplier of the keys by which a search recognizes equal prefixes: Knuth's linear congruential one, modulo 2^64."""


def is_label(tokens: Int[Tensor, "*positions"]) -> Bool[Tensor, "*positions"]:
    """Return which tokens a frame-synchronous decoder generates: all but padding, BOS and EOS."""
    return (tokens != PAD) & (tokens != BOS) & (tokens != EOS)


def strip_bos_eos(
    tokens: Int[Tensor, "batch target"],
) -> tuple[Int[Tensor, "batch target-2"], Int[Tensor, " batch"]]:
    """Return sentences without BOS and EOS, padded, and their lengths."""
    is_real = is_label(tokens)
    return torch.where(is_real, tokens, PAD)[:, 1:-1], is_real.sum(dim=1)


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
