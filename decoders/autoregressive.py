"""Decoders that write token by token: the teacher-forced pass, its loss, and scheduled sampling."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from attention import NO_ATTENTION_LOSSES, AttentionLossWeights, ReinforceLoss, SampleInfo
from decoders.base import PAD, Constraint, Decoder, DecoderOutput, DecoderState
from decoders.search import beam_search, sample
from decoders.search_config import Hypothesis, SearchConfig
from encoders.base import Memory

S = TypeVar("S", bound=DecoderState)


class AutoregressiveDecoder(Decoder, Generic[S]):
    """Writes a sentence token by token: ``start`` once, then ``step``; ``forward`` does it for known tokens.

    In training attention has ``attention_losses`` of its own. ``reinforce_loss`` is what drawn looks learn by; ``context_affects_future`` tells
    whether a look also changes what is written after its word.
    """

    attention_losses: AttentionLossWeights = NO_ATTENTION_LOSSES
    context_affects_future: bool = True
    reinforce_loss: ReinforceLoss | None

    def __init__(self):
        super().__init__()
        self.reinforce_loss = None  # not on the class, where it would hide the module that takes its place

    @abstractmethod
    def start(self, memory: Memory) -> S:
        """The state before the first token, one hypothesis a sentence."""

    @abstractmethod
    def step(self, tokens: Int[Tensor, " rows"], state: S) -> tuple[DecoderOutput, S]:
        """Read one token a hypothesis; the readout (target length 1) says what comes after it."""

    @abstractmethod
    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        """Unnormalised log-probabilities of the next token."""

    def scores(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        """What a search adds up for each next token: log-probabilities."""
        return self.logits(features).float().log_softmax(dim=-1)

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        """The teacher-forced pass: the readout at position t has read the true ``tokens[:, :t + 1]``.

        Equals :meth:`unroll`; decoders override it where all steps can be computed at once.
        """
        return self.unroll(tokens, memory)

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
    ) -> Float[Tensor, ""]:
        """Cross-entropy of each next token, summed over the real ones, and only they meet the vocabulary.

        The losses of attention are added, if they have a weight.
        """
        real = tokens[:, 1:] != PAD
        readout, right, learned = self.teacher_forced_log_probs(tokens, memory, real, teacher_forcing, label_smoothing)
        loss = -learned.sum()
        if readout.weights is not None:
            loss = loss + self.attention_losses(readout.weights, real, memory.mask)
        if self.reinforce_loss is not None and readout.sample is not None:
            gains = right.new_zeros(real.shape).masked_scatter(real, right.detach())
            loss = loss + self.reinforce_loss(
                gains, readout.sample, real, context_affects_future=self.context_affects_future or teacher_forcing < 1.0
            )
        return loss

    def teacher_forced_log_probs(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        real: Bool[Tensor, "batch written"],
        teacher_forcing: float,
        label_smoothing: float,
    ) -> tuple[DecoderOutput, Float[Tensor, " words"], Float[Tensor, " words"]]:
        """The readout along ``tokens``, and each real word's log-probability, as it is and smoothed.

        ``teacher_forcing``: see :meth:`unroll`. ``real``: of all tokens but the begin.
        """
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        readout = self(inputs, memory) if teacher_forcing >= 1.0 else self.unroll(inputs, memory, teacher_forcing)
        scores = self.logits(readout.features[real]).float().log_softmax(dim=-1)  # (words, vocab)
        right = scores.gather(1, targets[real][:, None]).squeeze(1)
        return readout, right, label_smoothed(right, scores, label_smoothing)

    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        if config.ctc_weight is not None:
            raise ValueError(
                "--ctc-weight needs a model with CTC beside attention: leave it out, or train with --decoder.ctc-weight"
            )
        return (sample if config.sample else beam_search)(self, memory, config, constraint)

    def log_likelihood(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, " batch"]:
        """log p of each sentence, in nats, its end counted in. ``tokens``: as in ``loss``."""
        real = tokens[:, 1:] != PAD
        _, right, _ = self.teacher_forced_log_probs(tokens, memory, real, 1.0, 0.0)
        return right.new_zeros(real.shape).masked_scatter(real, right).sum(dim=1)

    def alignment(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch written source"] | None:
        return self(tokens[:, :-1], memory).weights

    def unroll(
        self, tokens: Int[Tensor, "batch target"], memory: Memory, teacher_forcing: float = 1.0
    ) -> DecoderOutput:
        """Step by step. Each token after the first is the true one with probability ``teacher_forcing``.

        Otherwise the decoder reads what it would have written itself, which is scheduled sampling, the cure for
        exposure bias by Bengio et al. 2015. No gradient flows through the choice.
        """
        state = self.start(memory)
        readouts: list[DecoderOutput] = []
        for true_tokens in tokens.unbind(1):
            inputs = true_tokens
            if readouts and teacher_forcing < 1.0:
                with torch.no_grad():
                    written = self.logits(readouts[-1].features[:, 0]).argmax(dim=-1)
                inputs = torch.where(
                    torch.rand(written.shape, device=written.device) < teacher_forcing, true_tokens, written
                )
            readout, state = self.step(inputs, state)
            readouts.append(readout)
        return cat_outputs(readouts)


def label_smoothed(
    right: Float[Tensor, " words"], scores: Float[Tensor, "words vocab"], label_smoothing: float
) -> Float[Tensor, " words"]:
    """The right tokens' log-probabilities with a share of the mean over all tokens (Szegedy et al. 2016)."""
    return (1 - label_smoothing) * right + label_smoothing * scores.mean(dim=-1) if label_smoothing else right


def cat_outputs(readouts: Sequence[DecoderOutput]) -> DecoderOutput:
    """The readouts of steps as that of a sentence."""
    weights = [readout.weights for readout in readouts if readout.weights is not None]
    features = torch.cat([readout.features for readout in readouts], dim=1)
    sample = SampleInfo.joined([readout.sample for readout in readouts])
    return DecoderOutput(features, torch.cat(weights, dim=1) if weights else None, sample)
