"""Decoders that generate token by token: the teacher-forced pass, its loss, and scheduled sampling."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from attention.hard import ReinforceLoss
from attention.losses import NO_ATTENTION_LOSSES, AttentionLossWeights
from attention.memory import Memory
from attention.real_positions import real_positions
from attention.state import SampleInfo
from decoders.base import PAD, Constraint, Decoder, DecoderOutput, DecoderState, Hypothesis, Loss
from decoders.config import SearchConfig
from decoders.cross_entropy import token_log_probs
from decoders.forced_alignment import align_attention
from decoders.search import beam_search, sample

S = TypeVar("S", bound=DecoderState)


class AutoregressiveDecoder(Decoder, Generic[S]):
    """Generates a sentence token by token: ``init_state`` once, then repeated ``step``.

    ``forward`` is the teacher-forced pass over a known sentence and equals repeated ``step``.

    Attributes:
        attention_losses: Weights of the auxiliary attention losses in training.
        reinforce_loss: The loss by which sampled (hard) attention is learned, or None.
        context_affects_future: The context of a step also influences the tokens after the next one.
    """

    is_label_synchronous = True
    supports_ensemble = True

    attention_losses: AttentionLossWeights = NO_ATTENTION_LOSSES
    context_affects_future: bool = True
    reinforce_loss: ReinforceLoss | None

    def __init__(self):
        super().__init__()
        self.reinforce_loss = None  # not on the class, where it would hide the submodule of the same name

    @abstractmethod
    def init_state(self, memory: Memory) -> S:
        """Return the state before the first token, with one hypothesis for each sentence."""

    @abstractmethod
    def step(self, tokens: Int[Tensor, " rows"], state: S) -> tuple[DecoderOutput, S]:
        """Read the last token of each hypothesis; return the output for the next token (target length 1) and state."""

    @abstractmethod
    def logits(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        """Return the unnormalized log-probabilities of the next token."""

    def next_token_scores(self, features: Float[Tensor, "*positions dim"]) -> Float[Tensor, "*positions vocab"]:
        """Return the scores of the next token that a search adds up: log-probabilities."""
        return self.logits(features).float().log_softmax(dim=-1)

    def forward(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> DecoderOutput:
        """Return the output after each of ``tokens``: position t has read ``tokens[:, :t + 1]``.

        Equals :meth:`unroll`; decoders override it if all steps can be computed at once.
        """
        return self.unroll(tokens, memory)

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
        num_tokens: int | None = None,
    ) -> Loss:
        """Return the cross-entropy of the real next tokens plus the weighted losses of the attention."""
        is_real = tokens[:, 1:] != PAD
        real = real_positions(is_real, num_tokens)
        output, log_probs, smoothed = self.teacher_forced_log_probs(
            tokens, memory, real, teacher_forcing, label_smoothing
        )
        loss = -smoothed.sum()
        if output.weights is not None:
            loss = loss + self.attention_losses(output.weights, is_real, memory.mask)
        if self.reinforce_loss is not None and output.sample is not None:
            token_log_probs = log_probs.new_zeros(is_real.numel()).index_copy(0, real, log_probs.detach())
            token_log_probs = token_log_probs.view_as(is_real)
            affects_future = self.context_affects_future or teacher_forcing < 1.0
            loss = loss + self.reinforce_loss(token_log_probs, output.sample, is_real, affects_future=affects_future)
        return Loss(loss, -log_probs.detach().sum())

    def teacher_forced_log_probs(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        real: Int[Tensor, " real"],
        teacher_forcing: float,
        label_smoothing: float,
    ) -> tuple[DecoderOutput, Float[Tensor, " real"], Float[Tensor, " real"]]:
        """Return the output along ``tokens``, and the log-probability of each real token, plain and label-smoothed.

        Only the smoothed one needs to have a gradient.

        Args:
            tokens: Sentences between BOS and EOS, padded.
            memory: One row for each sentence.
            real: The tokens that are not padding, see ``real_positions``, counted from the one after BOS.
            teacher_forcing: See :meth:`unroll`.
            label_smoothing: See :meth:`Decoder.loss`.
        """
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        output = self(inputs, memory) if teacher_forcing >= 1.0 else self.unroll(inputs, memory, teacher_forcing)
        logits = self.logits(output.features.flatten(0, 1)[real]).float()  # (real, vocab)
        return output, *token_log_probs(logits, targets.flatten()[real], label_smoothing)

    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        if config.ctc_weight is not None:
            raise ValueError(
                f"search.ctc_weight is {config.ctc_weight}, which needs a model trained with decoder.ctc_weight; "
                "leave it out"
            )
        return (sample if config.sample else beam_search)(self, memory, config, constraint)

    def log_likelihood(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, " batch"]:
        is_real = tokens[:, 1:] != PAD
        real = real_positions(is_real)
        _, _, log_probs = self.teacher_forced_log_probs(tokens, memory, real, 1.0, 0.0)
        return log_probs.new_zeros(is_real.numel()).index_copy(0, real, log_probs).view_as(is_real).sum(dim=1)

    def alignment(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch target-1 source"] | None:
        weights, _ = self.alignment_and_gates(tokens, memory)
        return weights

    def alignment_and_gates(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> tuple[Float[Tensor, "batch target-1 source"] | None, Float[Tensor, "batch target-1"] | None]:
        output = self(tokens[:, :-1], memory)
        return output.weights, output.gates

    @torch.no_grad()
    def state_spans(
        self, tokens: Int[Tensor, "batch target"], groups: Int[Tensor, "batch target"], memory: Memory
    ) -> Int[Tensor, "batch groups 2"] | None:
        """Return the states that the tokens of each group attend to more than evenly: see ``align_attention``."""
        weights = self.alignment(tokens, memory)
        return None if weights is None else align_attention(weights, groups[:, 1:], memory.mask)

    def unroll(
        self, tokens: Int[Tensor, "batch target"], memory: Memory, teacher_forcing: float = 1.0
    ) -> DecoderOutput:
        """Run the decoder step by step along ``tokens``, with scheduled sampling.

        Each step after the first reads the true token with probability ``teacher_forcing``, and the most probable
        token of the previous step otherwise (Bengio et al. 2015). The choice has no gradient.
        """
        state = self.init_state(memory)
        outputs: list[DecoderOutput] = []
        for true_tokens in tokens.unbind(1):
            inputs = true_tokens
            if outputs and teacher_forcing < 1.0:
                with torch.no_grad():
                    predicted = self.logits(outputs[-1].features[:, 0]).argmax(dim=-1)
                is_forced = torch.rand(predicted.shape, device=predicted.device) < teacher_forcing
                inputs = torch.where(is_forced, true_tokens, predicted)
            output, state = self.step(inputs, state)
            outputs.append(output)
        return cat_outputs(outputs)


def label_smoothed(
    log_probs: Float[Tensor, " real"], vocab_log_probs: Float[Tensor, "real vocab"], label_smoothing: float
) -> Float[Tensor, " real"]:
    """Mix the true tokens' log-probabilities with the mean over the vocabulary (Szegedy et al. 2016)."""
    if not label_smoothing:
        return log_probs
    return (1 - label_smoothing) * log_probs + label_smoothing * vocab_log_probs.mean(dim=-1)


def cat_outputs(outputs: Sequence[DecoderOutput]) -> DecoderOutput:
    """Concatenate the outputs of consecutive steps along the target axis."""
    weights = [output.weights for output in outputs if output.weights is not None]
    features = torch.cat([output.features for output in outputs], dim=1)
    sample = SampleInfo.cat([output.sample for output in outputs])
    gates = [output.gates for output in outputs if output.gates is not None]
    return DecoderOutput(
        features, torch.cat(weights, dim=1) if weights else None, sample, torch.cat(gates, dim=1) if gates else None
    )
