"""A decoder that can also copy: what it looks at may be written as it stands (pointer-generator, See et al. 2017)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from decoders.autoregressive import Stepwise, smoothed
from decoders.base import Readout, State
from encoders.base import Memory


@dataclass(frozen=True)
class CopyingState(State):
    writer: State
    tokens: Int[Tensor, "sentences source"]  # what stands at each position, once a sentence
    hypotheses: int

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "CopyingState":
        sentences = rows[:, 0] // (self.hypotheses // len(self.tokens))
        return CopyingState(self.writer.select(rows), self.tokens[sentences], rows.numel())


class Copying(Stepwise[CopyingState]):
    """Mixes the vocabulary's distribution with that of attention over the source's tokens:

        p(w) = g p_vocabulary(w) + (1 - g) sum of a_s over the positions s where w stands,   g = sigmoid(v . r + b),

    r the writer's readout and a its weights. A vocabulary of subwords spells every word, so no word is beyond it; a
    source token that the target's vocabulary lacks is its unknown token, which is never written.

    The features are the logarithms of p, so that no search knows the difference; training does not make them, since
    of every word it needs the right token alone.
    """

    def __init__(self, writer: Stepwise, readout_dim: int):
        """``writer``: a decoder whose attention weighs the source."""
        super().__init__()
        self.writer = writer
        self.gate = nn.Linear(readout_dim, 1)
        self.losses, self.onward = writer.losses, writer.onward
        self.reinforce = writer.reinforce

    def start(self, memory: Memory) -> CopyingState:
        tokens = standing(memory)
        return CopyingState(self.writer.start(memory), tokens, len(tokens))

    def step(self, tokens: Int[Tensor, " rows"], state: CopyingState) -> tuple[Readout, CopyingState]:
        readout, writer = self.writer.step(tokens, state.writer)
        beam = len(tokens) // len(state.tokens)
        features = self.mixed(readout, state.tokens.repeat_interleave(beam, dim=0))
        return Readout(features, readout.weights, readout.drawn), CopyingState(writer, state.tokens, len(tokens))

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Readout:
        readout = self.writer(tokens, memory)
        return Readout(self.mixed(readout, standing(memory)), readout.weights, readout.drawn)

    def mixed(self, readout: Readout, standing: Int[Tensor, "rows source"]) -> Float[Tensor, "rows target vocab"]:
        """log p of every token."""
        assert readout.weights is not None, "only attention that weighs can be copied by"
        written = self.writer.logits(readout.features).float().log_softmax(dim=-1)
        places = standing[:, None].expand_as(readout.weights)
        copied = torch.zeros_like(written).scatter_add(-1, places, readout.weights.float())
        return self.mixture(readout.features, written, copied)

    def mixture(
        self, features: Float[Tensor, "*positions dim"], written: Tensor, copied: Tensor
    ) -> Float[Tensor, "*positions vocab"]:
        """The logarithm of both together, from the one's logarithm and the other's probability."""
        gate = self.gate(features).float()
        copied = copied.clamp(min=torch.finfo(copied.dtype).tiny).log()
        return torch.logaddexp(functional.logsigmoid(gate) + written, functional.logsigmoid(-gate) + copied)

    def taught(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        real: Bool[Tensor, "batch written"],
        truth: float,
        label_smoothing: float,
    ) -> tuple[Readout, Float[Tensor, " words"], Float[Tensor, " words"]]:
        right = tokens[:, 1:][real][:, None]
        if truth < 1.0:  # what was written has to be known for all words, so it is there already
            readout = self.unroll(tokens[:, :-1], memory, truth)
            mixed = readout.features[real]
            known = mixed.gather(1, right).squeeze(1)
            return readout, known, smoothed(known, mixed, label_smoothing)
        readout = self.writer(tokens[:, :-1], memory)
        assert readout.weights is not None, "only attention that weighs can be copied by"
        features = readout.features[real]
        written = self.writer.logits(features).float().log_softmax(dim=-1)
        there = standing(memory)[real.nonzero()[:, 0]] == right  # (words, source)
        copied = (readout.weights[real].float() * there).sum(dim=-1, keepdim=True)
        known = self.mixture(features, written.gather(1, right), copied).squeeze(1)
        return readout, known, smoothed(known, written, label_smoothing)

    def logits(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features


def standing(memory: Memory) -> Int[Tensor, "batch source"]:
    """The token at each of the source's positions."""
    assert memory.tokens is not None, "only text can be copied"
    return memory.tokens
