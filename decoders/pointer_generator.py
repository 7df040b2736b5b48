"""Pointer-generator: a decoder that can also copy source tokens by its attention weights (See et al. 2017)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.memory import Memory
from decoders.autoregressive import AutoregressiveDecoder, label_smoothed
from decoders.base import DecoderOutput, DecoderState


@dataclass(frozen=True)
class PointerGeneratorState(DecoderState):
    """The state of the generator, and the source tokens of each sentence."""

    generator: DecoderState
    token_ids: Int[Tensor, "sentences source"]
    num_hypotheses: int  # of all sentences together

    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "PointerGeneratorState":
        sentences = rows[:, 0] // (self.num_hypotheses // len(self.token_ids))
        return PointerGeneratorState(self.generator.reorder(rows), self.token_ids[sentences], rows.numel())


class PointerGenerator(AutoregressiveDecoder[PointerGeneratorState]):
    """Mixes the distribution over the vocabulary with that of the attention over the source tokens:

        p(w) = g p_vocab(w) + (1 - g) sum of a_s over the source positions s with token w,   g = sigmoid(v . r + b),

    where r are the generator's features and a its attention weights. With a subword vocabulary no word is out of
    vocabulary; a source token that the target vocabulary lacks counts as UNK, which is never generated.

    The features are log p, so any search works. Training does not compute them, since it needs the probability of the
    true tokens only.
    """

    def __init__(self, generator: AutoregressiveDecoder, feature_dim: int):
        """Wrap a decoder.

        Args:
            generator: A decoder with attention weights.
            feature_dim: Size of its features.

        Raises:
            ValueError: if ``generator`` has no attention weights.
        """
        super().__init__()
        if not generator.has_alignment:
            raise ValueError("generator has no attention weights, and tokens are copied by them")
        self.generator = generator
        self.copy_gate = nn.Linear(feature_dim, 1)
        self.attention_losses = generator.attention_losses
        self.context_affects_future = generator.context_affects_future
        self.reinforce_loss = generator.reinforce_loss
        self.has_alignment = generator.has_alignment
        self.supports_ensemble = generator.supports_ensemble

    def init_state(self, memory: Memory) -> PointerGeneratorState:
        token_ids = source_token_ids(memory)
        return PointerGeneratorState(self.generator.init_state(memory), token_ids, len(token_ids))

    def step(
        self, tokens: Int[Tensor, " rows"], state: PointerGeneratorState
    ) -> tuple[DecoderOutput, PointerGeneratorState]:
        output, generator = self.generator.step(tokens, state.generator)
        beam = len(tokens) // len(state.token_ids)
        features = self.mixed_log_probs(output, state.token_ids.repeat_interleave(beam, dim=0))
        next_state = PointerGeneratorState(generator, state.token_ids, len(tokens))
        return DecoderOutput(features, output.weights, output.sample), next_state

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        output = self.generator(tokens, memory)
        features = self.mixed_log_probs(output, source_token_ids(memory))
        return DecoderOutput(features, output.weights, output.sample)

    def mixed_log_probs(
        self, output: DecoderOutput, token_ids: Int[Tensor, "rows source"]
    ) -> Float[Tensor, "rows target vocab"]:
        """Return log p of every token of the vocabulary."""
        assert output.weights is not None
        generated = self.generator.logits(output.features).float().log_softmax(dim=-1)
        index = token_ids[:, None].expand_as(output.weights)
        copied = torch.zeros_like(generated).scatter_add(-1, index, output.weights.float())
        return self.mix(output.features, generated, copied)

    def mix(
        self, features: Float[Tensor, "*positions dim"], generated: Tensor, copied: Tensor
    ) -> Float[Tensor, "*positions vocab"]:
        """Return the log-probability of the mixture.

        Args:
            features: The generator's features, from which the gate is computed.
            generated: Log-probabilities of the generator (..., tokens).
            copied: Probabilities, not their logarithms, of copying (..., tokens).
        """
        gate = self.copy_gate(features).float()
        copied = copied.clamp(min=torch.finfo(copied.dtype).tiny).log()
        return torch.logaddexp(functional.logsigmoid(gate) + generated, functional.logsigmoid(-gate) + copied)

    def teacher_forced_log_probs(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        is_real: Bool[Tensor, "batch target-1"],
        teacher_forcing: float,
        label_smoothing: float,
    ) -> tuple[DecoderOutput, Float[Tensor, " real"], Float[Tensor, " real"]]:
        targets = tokens[:, 1:][is_real][:, None]
        if teacher_forcing < 1.0:  # scheduled sampling needs the whole distribution at every step, so use it
            output = self.unroll(tokens[:, :-1], memory, teacher_forcing)
            mixed = output.features[is_real]
            log_probs = mixed.gather(1, targets).squeeze(1)
            return output, log_probs, label_smoothed(log_probs, mixed, label_smoothing)
        output = self.generator(tokens[:, :-1], memory)
        assert output.weights is not None
        features = output.features[is_real]
        generated = self.generator.logits(features).float().log_softmax(dim=-1)
        is_target = source_token_ids(memory)[is_real.nonzero()[:, 0]] == targets  # (real, source)
        copied = (output.weights[is_real].float() * is_target).sum(dim=-1, keepdim=True)
        log_probs = self.mix(features, generated.gather(1, targets), copied).squeeze(1)
        return output, log_probs, label_smoothed(log_probs, generated, label_smoothing)

    def logits(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features


def source_token_ids(memory: Memory) -> Int[Tensor, "batch source"]:
    """Return the target-vocabulary token at each source position."""
    assert memory.token_ids is not None, "only text can be copied"
    return memory.token_ids
