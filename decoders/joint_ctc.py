"""Attention and CTC over one memory: both learn from each sentence, and both score it (Watanabe et al. 2017)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import BOS, EOS, PAD, Constraint, DecoderOutput, DecoderState
from decoders.ctc import CTC, is_word
from decoders.search_config import Hypothesis, SearchConfig
from encoders.base import Memory

NEG_INF = float("-inf")
LOG_ZERO = -1e10  # the logarithm of what is impossible: finite, so that it can be weighed, subtracted and ranked
TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class Frames:
    """CTC's log-probabilities, once a sentence, and what the products of every step take of them.

    ``probabilities`` are divided by each entry's largest, whose logarithm is ``peaks``; they are zero on padding.
    """

    log_probabilities: Float[Tensor, "sentences vocab source"]
    probabilities: Float[Tensor, "sentences source vocab"]
    peaks: Float[Tensor, "sentences 1 vocab"]
    mask: Bool[Tensor, "sentences source"]

    @classmethod
    def of(
        cls, log_probabilities: Float[Tensor, "sentences source vocab"], mask: Bool[Tensor, "sentences source"]
    ) -> "Frames":
        log_probabilities = log_probabilities.double().clamp(min=LOG_ZERO).masked_fill(~mask[..., None], LOG_ZERO)
        peaks = log_probabilities.amax(dim=1, keepdim=True)
        probabilities = (log_probabilities - peaks).exp().masked_fill(~mask[..., None], 0.0)
        return cls(log_probabilities.transpose(1, 2).contiguous(), probabilities, peaks, mask)

    def select(self, sentences: Int[Tensor, " sentences"]) -> "Frames":
        return Frames(
            self.log_probabilities[sentences],
            self.probabilities[sentences],
            self.peaks[sentences],
            self.mask[sentences],
        )


@dataclass(frozen=True)
class CTCPrefixState(DecoderState):
    """CTC's forward variables of the hypotheses, in float64 logarithms, for a grid of sentences × beam.

    ``nonblank[..., t]`` and ``blank[..., t]``: the probability that the first t frames write the hypothesis and end
    in its last token, or in a blank. ``probability``: that all frames write the hypothesis and anything after it.
    """

    frames: Frames
    nonblank: Float[Tensor, "sentences beam times"]
    blank: Float[Tensor, "sentences beam times"]
    last: Int[Tensor, "sentences beam"]
    probability: Float[Tensor, "sentences beam"]

    @classmethod
    def start(cls, frames: Frames) -> "CTCPrefixState":
        """The empty hypothesis, which only blanks have written so far."""
        blank = functional.pad(frames.log_probabilities[:, None, PAD].cumsum(dim=-1), (1, 0))
        last = torch.full(blank.shape[:2], BOS, device=blank.device)
        return cls(frames, torch.full_like(blank, NEG_INF), blank, last, blank[..., 0])

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "CTCPrefixState":
        sentences = rows[:, 0] // self.last.size(1)
        everyone = sentences.size(0) == self.last.size(0)
        chosen = (each.flatten(0, 1)[rows] for each in (self.nonblank, self.blank, self.last, self.probability))
        return CTCPrefixState(self.frames if everyone else self.frames.select(sentences), *chosen)

    def extend(self, tokens: Int[Tensor, "sentences beam"]) -> "CTCPrefixState":
        """The hypotheses, each with one more token. Padding, begin and end write nothing."""
        gains = self.gains(tokens)
        prefix_alpha = self.prefix_alpha(tokens)
        nonblank = run(prefix_alpha, gains)
        blank = run(nonblank[..., :-1], self.frames.log_probabilities[:, None, PAD])
        probability = (prefix_alpha + gains).logsumexp(dim=-1).clamp(min=LOG_ZERO)
        word = is_word(tokens)
        return CTCPrefixState(
            self.frames,
            torch.where(word[..., None], nonblank, self.nonblank),
            torch.where(word[..., None], blank, self.blank),
            torch.where(word, tokens, self.last),
            torch.where(word, probability, self.probability),
        )

    def scores(self) -> Float[Tensor, "sentences beam vocab"]:
        """log p(hypothesis, token, anything) - log p(hypothesis, anything); at EOS, for the sentence as it is.

        Along a sentence with its end they add up to the sentence's log-probability.
        """
        # The sum over frames of what arrives times what the token adds, as one product of probabilities. Each factor
        # is divided by its largest; what then underflows is e^-700 times less probable than the hypothesis.
        prefix_alpha = torch.logaddexp(self.nonblank, self.blank)[..., :-1].masked_fill(
            ~self.frames.mask[:, None], NEG_INF
        )
        peaks = prefix_alpha.amax(dim=-1, keepdim=True).clamp(min=LOG_ZERO)
        sums = (prefix_alpha - peaks).exp() @ self.frames.probabilities  # (sentences, beam, vocab)
        extended = sums.clamp(min=TINY).log() + peaks + self.frames.peaks
        # The last token counts once more only after a blank.
        repeated = (self.blank[..., :-1] + self.gains(self.last)).logsumexp(dim=-1, keepdim=True)
        extended.scatter_(2, self.last[..., None], repeated)
        end = self.frames.mask.sum(dim=1)[:, None, None]
        whole = torch.logaddexp(self.nonblank, self.blank).take_along_dim(end, dim=2)
        extended[..., EOS] = whole.squeeze(2)
        extended[..., [PAD, BOS]] = LOG_ZERO
        return extended.clamp(min=LOG_ZERO) - self.probability[..., None]

    def gains(self, tokens: Int[Tensor, "sentences beam"]) -> Float[Tensor, "sentences beam source"]:
        """Each frame's log-probability of a hypothesis' token."""
        return self.frames.log_probabilities.take_along_dim(tokens[..., None], dim=1)

    def prefix_alpha(self, tokens: Int[Tensor, "sentences beam"]) -> Float[Tensor, "sentences beam source"]:
        """Before each frame: the hypothesis is written, in such a way that this token can follow in the frame."""
        anyhow = torch.logaddexp(self.nonblank, self.blank)
        return torch.where((tokens == self.last)[..., None], self.blank, anyhow)[..., :-1]


def run(
    prefix_alpha: Float[Tensor, "sentences beam source"], gains: Float[Tensor, "sentences #beam source"]
) -> Float[Tensor, "sentences beam times"]:
    """The recurrence r_t = (r_{t-1} + arriving_t) gain_t from r_0 = 0, in logarithms and without a loop.

    Divided by the product of all gains so far it is a plain sum. Those products leave every range, which is why
    they stay logarithms, and their differences need float64.
    """
    total = gains.cumsum(dim=-1)
    return functional.pad(total + (prefix_alpha - (total - gains)).logcumsumexp(dim=-1), (1, 0), value=NEG_INF)


@dataclass(frozen=True)
class JointCTCState(DecoderState):
    attention: DecoderState
    prefixes: CTCPrefixState

    def select(self, rows: Int[Tensor, "sentences beam"]) -> "JointCTCState":
        return JointCTCState(self.attention.select(rows), self.prefixes.select(rows))


class JointCTCAttention(AutoregressiveDecoder[JointCTCState]):
    """A decoder with attention and a CTC output, which is ``weight`` of the loss and of the score.

    The score of a next token is (1 - weight) log p_attention(token | hypothesis) + weight (log p_ctc(hypothesis,
    token, anything) - log p_ctc(hypothesis, anything)), with CTC's prefix probabilities (Graves 2008): attention
    alone may skip or repeat parts of the source, and CTC, which reads it in order, makes that improbable. The
    features are these scores, so that no search knows the difference; they are not normalised.
    """

    def __init__(self, attention: AutoregressiveDecoder, ctc: CTC, weight: float):
        super().__init__()
        self.attention = attention
        self.ctc = ctc
        self.weight = weight

    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
    ) -> Float[Tensor, ""]:
        """(1 - weight) times attention's loss and weight times CTC's."""
        attention = self.attention.loss(
            tokens, memory, label_smoothing=label_smoothing, teacher_forcing=teacher_forcing
        )
        return (1 - self.weight) * attention + self.weight * self.ctc.loss(tokens, memory)

    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """With ``config.ctc_weight``, if given, in place of the weight of training."""
        if config.ctc_weight is None:
            return super().search(memory, config, constraint)
        weighed = JointCTCAttention(self.attention, self.ctc, config.ctc_weight)
        return weighed.search(memory, replace(config, ctc_weight=None), constraint)

    def alignment(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch written source"] | None:
        """Attention's: see Stepwise.alignment."""
        return self.attention.alignment(tokens, memory)

    def start(self, memory: Memory) -> JointCTCState:
        frames = Frames.of(self.ctc.log_probabilities(memory), memory.mask)
        return JointCTCState(self.attention.start(memory), CTCPrefixState.start(frames))

    def step(self, tokens: Int[Tensor, " rows"], state: JointCTCState) -> tuple[DecoderOutput, JointCTCState]:
        readout, attention = self.attention.step(tokens, state.attention)
        prefixes = state.prefixes.extend(tokens.view(state.prefixes.last.shape))
        ctc = prefixes.scores().flatten(0, 1)[:, None]
        scores = (1 - self.weight) * self.attention.scores(readout.features) + self.weight * ctc
        return DecoderOutput(scores.float(), readout.weights), JointCTCState(attention, prefixes)

    def logits(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features

    def scores(self, features: Float[Tensor, "*positions vocab"]) -> Float[Tensor, "*positions vocab"]:
        return features
