"""A decoder that can also copy: what it looks at may be written as it stands (pointer-generator, See et al. 2017)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from decoders.autoregressive import AutoregressiveDecoder, label_smoothed
from decoders.base import DecoderOutput, DecoderState
from encoders.base import Memory


@dataclass(frozen=True)
class PointerGeneratorState(DecoderState):
    generator: DecoderState
    tokens: Int[Tensor, "sentences source"]  # what stands at each position, once a sentence
    hypotheses: int

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "PointerGeneratorState":
        sentences = rows[:, 0] // (self.hypotheses // len(self.tokens))
        return PointerGeneratorState(self.generator.select(rows), self.tokens[sentences], rows.numel())


class PointerGenerator(AutoregressiveDecoder[PointerGeneratorState]):
    """Mixes the vocabulary's distribution with that of attention over the source's tokens:

        p(w) = g p_vocabulary(w) + (1 - g) sum of a_s over the positions s where w stands,   g = sigmoid(v . r + b),

    r the writer's readout and a its weights. A vocabulary of subwords spells every word, so no word is beyond it; a
    source token that the target's vocabulary lacks is its unknown token, which is never written.

    The features are the logarithms of p, so that no search knows the difference; training does not make them, since
    of every word it needs the right token alone.
    """

    def __init__(self, generator: AutoregressiveDecoder, readout_dim: int):
        """``generator``: a decoder whose attention weighs the source."""
        super().__init__()
        self.generator = generator
        self.context_gate = nn.Linear(readout_dim, 1)
        self.attention_losses, self.context_affects_future = (
            generator.attention_losses,
            generator.context_affects_future,
        )
        self.reinforce_loss = generator.reinforce_loss

    def start(self, memory: Memory) -> PointerGeneratorState:
        tokens = source_token_ids(memory)
        return PointerGeneratorState(self.generator.start(memory), tokens, len(tokens))

    def step(
        self, tokens: Int[Tensor, " rows"], state: PointerGeneratorState
    ) -> tuple[DecoderOutput, PointerGeneratorState]:
        readout, generator = self.generator.step(tokens, state.generator)
        beam = len(tokens) // len(state.tokens)
        features = self.mixed(readout, state.tokens.repeat_interleave(beam, dim=0))
        return DecoderOutput(features, readout.weights, readout.sample), PointerGeneratorState(
            generator, state.tokens, len(tokens)
        )

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        readout = self.generator(tokens, memory)
        return DecoderOutput(self.mixed(readout, source_token_ids(memory)), readout.weights, readout.sample)

    def mixed(
        self, readout: DecoderOutput, source_token_ids: Int[Tensor, "rows source"]
    ) -> Float[Tensor, "rows target vocab"]:
        """log p of every token."""
        assert readout.weights is not None, "only attention that weighs can be copied by"
        written = self.generator.logits(readout.features).float().log_softmax(dim=-1)
        places = source_token_ids[:, None].expand_as(readout.weights)
        copied = torch.zeros_like(written).scatter_add(-1, places, readout.weights.float())
        return self.mixture(readout.features, written, copied)

    def mixture(
        self, features: Float[Tensor, "*positions dim"], written: Tensor, copied: Tensor
    ) -> Float[Tensor, "*positions vocab"]:
        """The logarithm of both together, from the one's logarithm and the other's probability."""
        context_gate = self.context_gate(features).float()
        copied = copied.clamp(min=torch.finfo(copied.dtype).tiny).log()
        return torch.logaddexp(
            functional.logsigmoid(context_gate) + written, functional.logsigmoid(-context_gate) + copied
        )

    def teacher_forced_log_probs(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        real: Bool[Tensor, "batch written"],
        teacher_forcing: float,
        label_smoothing: float,
    ) -> tuple[DecoderOutput, Float[Tensor, " words"], Float[Tensor, " words"]]:
        right = tokens[:, 1:][real][:, None]
        if teacher_forcing < 1.0:  # what was written has to be known for all words, so it is there already
            readout = self.unroll(tokens[:, :-1], memory, teacher_forcing)
            mixed = readout.features[real]
            known = mixed.gather(1, right).squeeze(1)
            return readout, known, label_smoothed(known, mixed, label_smoothing)
        readout = self.generator(tokens[:, :-1], memory)
        assert readout.weights is not None, "only attention that weighs can be copied by"
        features = readout.features[real]
        written = self.generator.logits(features).float().log_softmax(dim=-1)
        there = source_token_ids(memory)[real.nonzero()[:, 0]] == right  # (words, source)
        copied = (readout.weights[real].float() * there).sum(dim=-1, keepdim=True)
        known = self.mixture(features, written.gather(1, right), copied).squeeze(1)
        return readout, known, label_smoothed(known, written, label_smoothing)

    def logits(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features


def source_token_ids(memory: Memory) -> Int[Tensor, "batch source"]:
    """The token at each of the source's positions."""
    assert memory.tokens is not None, "only text can be copied"
    return memory.tokens
