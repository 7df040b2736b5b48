"""Ensembles: several decoders that generate one sentence from the mean of their probabilities at every step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attention.memory import Memory
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import Decoder, DecoderOutput, DecoderState


@dataclass(frozen=True)
class EnsembleMemory(Memory):
    """The memories of all members for the same inputs; as a Memory it is that of the first member."""

    members: tuple[Memory, ...] = ()

    @classmethod
    def from_members(cls, members: Sequence[Memory]) -> "EnsembleMemory":
        first = members[0]
        parts = first.states, first.mask, first.summary, first.segment_ids, first.token_ids
        return cls(*parts, members=tuple(members))

    def select(self, rows: Int[Tensor, " rows"]) -> "EnsembleMemory":
        return EnsembleMemory.from_members([member.select(rows) for member in self.members])


@dataclass(frozen=True)
class EnsembleState(DecoderState):
    """The states of all members."""

    members: tuple[DecoderState, ...]

    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "EnsembleState":
        return EnsembleState(tuple(state.reorder(rows) for state in self.members))


class Ensemble(AutoregressiveDecoder[EnsembleState]):
    """A decoder made of decoders with one target vocabulary, for any search.

    Its features are the logarithms of the mean probabilities. It has no attention weights: each member has its own
    memory, whose positions need not correspond to those of the others.
    """

    def __init__(self, decoders: Sequence[Decoder]):
        """Raises ValueError for a member that does not support ensembles."""
        super().__init__()
        for decoder in decoders:
            if not decoder.supports_ensemble:
                raise ValueError(
                    f"decoders contains a {type(decoder).__name__}, which cannot be a member of an ensemble"
                )
        self.decoders = cast("list[AutoregressiveDecoder]", nn.ModuleList(decoders))

    def init_state(self, memory: Memory) -> EnsembleState:
        assert isinstance(memory, EnsembleMemory), "an ensemble needs EnsembleMemory.from_members"
        pairs = zip(self.decoders, memory.members, strict=True)
        return EnsembleState(tuple(decoder.init_state(member) for decoder, member in pairs))

    def step(self, tokens: Int[Tensor, " rows"], state: EnsembleState) -> tuple[DecoderOutput, EnsembleState]:
        log_probs, states = [], []
        for decoder, member in zip(self.decoders, state.members, strict=True):
            output, next_state = decoder.step(tokens, member)
            log_probs.append(decoder.logits(output.features).float().log_softmax(dim=-1))
            states.append(next_state)
        mean = torch.stack(log_probs).logsumexp(dim=0) - math.log(len(states))
        return DecoderOutput(mean, None), EnsembleState(tuple(states))

    def logits(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features
