"""Joint CTC and attention over one memory, in training and in the search (Watanabe et al. 2017)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from attention.memory import Memory
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import BOS, EOS, NEG_INF, PAD, Constraint, DecoderOutput, DecoderState, Hypothesis, Loss
from decoders.config import SearchConfig
from decoders.ctc import CTC
from decoders.frame_synchronous import is_label

LOG_ZERO = -1e10  # log of an impossible event: finite, so that it can be weighted, subtracted and ranked
TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class CTCPosteriors:
    """CTC's log-probabilities of each sentence, in the forms that every step needs.

    ``probs`` are divided by each token's maximum over the source, whose logarithm is ``peaks``; they are zero on
    padding.
    """

    log_probs: Float[Tensor, "sentences vocab source"]
    probs: Float[Tensor, "sentences source vocab"]
    peaks: Float[Tensor, "sentences 1 vocab"]
    mask: Bool[Tensor, "sentences source"]

    @classmethod
    def from_log_probs(
        cls, log_probs: Float[Tensor, "sentences source vocab"], mask: Bool[Tensor, "sentences source"]
    ) -> "CTCPosteriors":
        log_probs = log_probs.double().clamp(min=LOG_ZERO).masked_fill(~mask[..., None], LOG_ZERO)
        peaks = log_probs.amax(dim=1, keepdim=True)
        probs = (log_probs - peaks).exp().masked_fill(~mask[..., None], 0.0)
        return cls(log_probs.transpose(1, 2).contiguous(), probs, peaks, mask)

    def select(self, sentences: Int[Tensor, " sentences"]) -> "CTCPosteriors":
        return CTCPosteriors(
            self.log_probs[sentences], self.probs[sentences], self.peaks[sentences], self.mask[sentences]
        )


@dataclass(frozen=True)
class CTCPrefixState(DecoderState):
    """CTC's forward variables of the hypotheses, in float64 logarithms, for a grid of sentences × beam.

    Attributes:
        posteriors: The log-probabilities of each frame.
        nonblank: At index t, the probability that the first t frames emit the hypothesis and end in its last token.
        blank: The same for paths that end in a blank.
        last: The last token of each hypothesis.
        prefix_log_prob: The probability that the frames emit the hypothesis followed by anything.
    """

    posteriors: CTCPosteriors
    nonblank: Float[Tensor, "sentences beam times"]
    blank: Float[Tensor, "sentences beam times"]
    last: Int[Tensor, "sentences beam"]
    prefix_log_prob: Float[Tensor, "sentences beam"]

    @classmethod
    def initial(cls, posteriors: CTCPosteriors) -> "CTCPrefixState":
        """Return the state of the empty hypothesis, which only blanks have emitted so far."""
        blank = functional.pad(posteriors.log_probs[:, None, PAD].cumsum(dim=-1), (1, 0))
        last = torch.full(blank.shape[:2], BOS, device=blank.device)
        return cls(posteriors, torch.full_like(blank, NEG_INF), blank, last, blank[..., 0])

    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "CTCPrefixState":
        sentences = rows[:, 0] // self.last.size(1)
        is_complete = sentences.size(0) == self.last.size(0)
        reordered = (part.flatten(0, 1)[rows] for part in (self.nonblank, self.blank, self.last, self.prefix_log_prob))
        return CTCPrefixState(self.posteriors if is_complete else self.posteriors.select(sentences), *reordered)

    def extend(self, tokens: Int[Tensor, "sentences beam"]) -> "CTCPrefixState":
        """Append a token to each hypothesis. Padding, BOS and EOS change nothing."""
        gains = self.gains(tokens)
        prefix_alpha = self.prefix_alpha(tokens)
        nonblank = forward_variables(prefix_alpha, gains)
        blank = forward_variables(nonblank[..., :-1], self.posteriors.log_probs[:, None, PAD])
        prefix_log_prob = (prefix_alpha + gains).logsumexp(dim=-1).clamp(min=LOG_ZERO)
        appends = is_label(tokens)
        return CTCPrefixState(
            self.posteriors,
            torch.where(appends[..., None], nonblank, self.nonblank),
            torch.where(appends[..., None], blank, self.blank),
            torch.where(appends, tokens, self.last),
            torch.where(appends, prefix_log_prob, self.prefix_log_prob),
        )

    def next_token_scores(self) -> Float[Tensor, "sentences beam vocab"]:
        """Return log p(hypothesis, token, anything) - log p(hypothesis, anything); at EOS, for the hypothesis alone.

        Along a sentence including its EOS they sum to the sentence's log-probability.
        """
        # The sum over frames of prefix_alpha times the token's probability is one matrix product of probabilities. Each
        # factor is divided by its maximum; what then underflows is e^-700 times less probable than the hypothesis.
        prefix_alpha = torch.logaddexp(self.nonblank, self.blank)[..., :-1].masked_fill(
            ~self.posteriors.mask[:, None], NEG_INF
        )
        peaks = prefix_alpha.amax(dim=-1, keepdim=True).clamp(min=LOG_ZERO)
        sums = (prefix_alpha - peaks).exp() @ self.posteriors.probs  # (sentences, beam, vocab)
        extended = sums.clamp(min=TINY).log() + peaks + self.posteriors.peaks
        # The last token can be repeated only after a blank.
        repeated = (self.blank[..., :-1] + self.gains(self.last)).logsumexp(dim=-1, keepdim=True)
        extended.scatter_(2, self.last[..., None], repeated)
        end = self.posteriors.mask.sum(dim=1)[:, None, None]
        complete = torch.logaddexp(self.nonblank, self.blank).gather(2, end.expand(-1, self.last.size(1), -1))
        extended[..., EOS] = complete.squeeze(2)
        extended[..., PAD] = extended[..., BOS] = LOG_ZERO
        return extended.clamp(min=LOG_ZERO) - self.prefix_log_prob[..., None]

    def gains(self, tokens: Int[Tensor, "sentences beam"]) -> Float[Tensor, "sentences beam source"]:
        """Return each frame's log-probability of one token for each hypothesis."""
        log_probs = self.posteriors.log_probs
        return log_probs.gather(1, tokens[..., None].expand(-1, -1, log_probs.size(2)))

    def prefix_alpha(self, tokens: Int[Tensor, "sentences beam"]) -> Float[Tensor, "sentences beam source"]:
        """Return for each frame the probability that the frames before it emit the hypothesis, such that the given
        token can be emitted next: after a blank, if it equals the last token."""
        total = torch.logaddexp(self.nonblank, self.blank)
        return torch.where((tokens == self.last)[..., None], self.blank, total)[..., :-1]


def forward_variables(
    prefix_alpha: Float[Tensor, "sentences beam source"], gains: Float[Tensor, "sentences #beam source"]
) -> Float[Tensor, "sentences beam times"]:
    """Solve the recurrence r_t = (r_{t-1} + alpha_t) gain_t with r_0 = 0, in logarithms and without a loop.

    Divided by the product of all gains so far it is a plain sum. These products exceed every floating-point range,
    so they stay logarithms, and their differences need float64.
    """
    total = gains.cumsum(dim=-1)
    return functional.pad(total + (prefix_alpha - (total - gains)).logcumsumexp(dim=-1), (1, 0), value=NEG_INF)


@dataclass(frozen=True)
class JointCTCState(DecoderState):
    """The states of the attention decoder and of CTC."""

    attention: DecoderState
    ctc: CTCPrefixState

    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "JointCTCState":
        return JointCTCState(self.attention.reorder(rows), self.ctc.reorder(rows))


class JointCTCAttention(AutoregressiveDecoder[JointCTCState]):
    """A decoder with attention and a CTC output, which has ``weight`` in the loss and in the scores of the search.

    The score of a next token is (1 - weight) log p_attention(token | hypothesis) + weight (log p_ctc(hypothesis,
    token, anything) - log p_ctc(hypothesis, anything)), with CTC's prefix probabilities (Graves 2008). Attention alone
    may skip or repeat parts of the source; CTC reads it in order, which makes that improbable. The features are these
    scores, so any search works; they are not normalized.
    """

    def __init__(self, attention: AutoregressiveDecoder, ctc: CTC, weight: float):
        super().__init__()
        self.attention = attention
        self.ctc = ctc
        self.weight = weight
        self.export_form = attention.export_form
        self.has_alignment = attention.has_alignment
        self.supports_ensemble = attention.supports_ensemble

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
        num_tokens: int | None = None,
    ) -> Loss:
        """Return (1 - weight) times the attention decoder's loss plus weight times CTC's."""
        attention = self.attention.loss(
            tokens,
            memory,
            label_smoothing=label_smoothing,
            teacher_forcing=teacher_forcing,
            num_tokens=num_tokens,
        )
        ctc = self.ctc.loss(tokens, memory)
        return Loss(
            (1 - self.weight) * attention.total + self.weight * ctc.total,
            (1 - self.weight) * attention.nll + self.weight * ctc.nll,
        )

    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """Search with ``config.ctc_weight``, if given, instead of the weight used in training."""
        if config.ctc_weight is None:
            return super().search(memory, config, constraint)
        reweighted = JointCTCAttention(self.attention, self.ctc, config.ctc_weight)
        return reweighted.search(memory, replace(config, ctc_weight=None), constraint)

    def alignment_and_gates(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> tuple[Float[Tensor, "batch target-1 source"] | None, Float[Tensor, "batch target-1"] | None]:
        """Return those of the attention decoder."""
        return self.attention.alignment_and_gates(tokens, memory)

    def init_state(self, memory: Memory) -> JointCTCState:
        posteriors = CTCPosteriors.from_log_probs(self.ctc.log_probs(memory), memory.mask)
        return JointCTCState(self.attention.init_state(memory), CTCPrefixState.initial(posteriors))

    def step(self, tokens: Int[Tensor, " rows"], state: JointCTCState) -> tuple[DecoderOutput, JointCTCState]:
        output, attention = self.attention.step(tokens, state.attention)
        ctc = state.ctc.extend(tokens.view(state.ctc.last.shape))
        ctc_scores = ctc.next_token_scores().flatten(0, 1)[:, None]
        scores = (1 - self.weight) * self.attention.next_token_scores(output.features) + self.weight * ctc_scores
        return DecoderOutput(scores.float(), output.weights), JointCTCState(attention, ctc)

    def logits(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features

    def next_token_scores(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features
