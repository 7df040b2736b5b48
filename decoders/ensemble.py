"""Several models that write one sentence together: the mean of their probabilities at every step."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import DecoderOutput, DecoderState
from encoders.base import Memory


@dataclass(frozen=True)
class EnsembleMemory(Memory):
    """What the members' encoders returned for the same inputs; to everyone else it is the first one's memory."""

    members: tuple[Memory, ...] = ()

    @classmethod
    def of(cls, members: list[Memory]) -> "EnsembleMemory":
        first = members[0]
        return cls(first.states, first.mask, first.summary, first.segments, first.tokens, tuple(members))

    def select(self, rows: Int[Tensor, " rows"]) -> "EnsembleMemory":
        return EnsembleMemory.of([member.select(rows) for member in self.members])


@dataclass(frozen=True)
class EnsembleState(DecoderState):
    members: tuple[DecoderState, ...]

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "EnsembleState":
        return EnsembleState(tuple(state.select(rows) for state in self.members))


class Ensemble(AutoregressiveDecoder[EnsembleState]):
    """A decoder made of decoders, so that no search knows the difference.

    Its features are the logarithms of the mean probabilities. The members must share one target vocabulary.
    """

    def __init__(self, decoders: list[AutoregressiveDecoder]):
        super().__init__()
        self.decoders = cast("list[AutoregressiveDecoder]", nn.ModuleList(decoders))

    def start(self, memory: Memory) -> EnsembleState:
        assert isinstance(memory, EnsembleMemory), "an ensemble starts from one memory for each member: Memories.of"
        pairs = zip(self.decoders, memory.members, strict=True)
        return EnsembleState(tuple(decoder.start(member) for decoder, member in pairs))

    def step(self, tokens: Int[Tensor, " rows"], state: EnsembleState) -> tuple[DecoderOutput, EnsembleState]:
        log_probabilities, states = [], []
        for decoder, member in zip(self.decoders, state.members, strict=True):
            readout, following = decoder.step(tokens, member)
            log_probabilities.append(decoder.logits(readout.features).float().log_softmax(dim=-1))
            states.append(following)
        mean = torch.stack(log_probabilities).logsumexp(dim=0) - math.log(len(states))
        return DecoderOutput(mean, None), EnsembleState(tuple(states))

    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        return features
