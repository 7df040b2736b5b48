"""The contract between a decoder and its callers: training, search and ensembles."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from attention.memory import Memory
from attention.state import SampleInfo
from decoders.config import SearchConfig

PAD, UNK, BOS, EOS = 0, 1, 2, 3  # the first four entries of every target vocabulary
NEG_INF = float("-inf")

Constraint = Callable[[Tensor, Tensor, Tensor], None]
"""A restriction of the sentences that a search may return, such as a fixed number of lines.

Called at every step with the log-probabilities of the next token (rows, vocab), in which it sets those of forbidden
tokens to -inf in place; the tokens of each hypothesis so far (rows, length); and the index in the batch of the sentence
that each hypothesis belongs to (rows). If it forbids every token the sentence ends.
"""


@dataclass(frozen=True)
class Hypothesis:
    """A finished sentence without its end-of-sentence token, and the score by which it was ranked."""

    tokens: list[int]
    score: float


@dataclass(frozen=True)
class DecoderOutput:
    """The output of a decoder at each target position, before the output layer.

    Features are kept apart from the logits because training multiplies only those of real tokens by the output matrix.

    Attributes:
        features: The input of the output layer.
        weights: The attention weights, or None without attention.
        sample: Log-probability and entropy of the sampled source positions, with hard attention.
        gates: The gates that scaled the contexts, or None without gates.
    """

    features: Float[Tensor, "batch target dim"]
    weights: Float[Tensor, "batch target source"] | None
    sample: SampleInfo | None = None
    gates: Float[Tensor, "batch target"] | None = None


@dataclass(frozen=True)
class Loss:
    """The loss of several sentences in nats, summed over them.

    Attributes:
        total: The loss to train on: label-smoothed, and with the weighted losses of the attention.
        nll: The negative log-likelihood of the sentences alone, without a gradient.
    """

    total: Float[Tensor, ""]
    nll: Float[Tensor, ""]


class DecoderState(ABC):
    """Everything a decoder carries from one step to the next, for a grid of hypotheses: sentences × beam."""

    @abstractmethod
    def reorder(self, rows: Int[Tensor, "sentences beam"]) -> "DecoderState":
        """Return the state in which hypothesis ``j`` of sentence ``i`` is the previous hypothesis ``rows[i, j]``.

        Hypotheses are numbered consecutively, sentence by sentence. All entries of a row must belong to one sentence,
        so what is stored once per sentence (its memory) is never copied for a beam. Sentences keep their order and
        occur at most once, but may be left out: finished sentences leave the batch in this way.
        """


class Decoder(nn.Module, ABC):
    """Generates sentences from memories.

    Most decoders are :class:`~decoders.autoregressive.AutoregressiveDecoder`; frame-synchronous ones (CTC,
    transducers) are not. Callers ask for capabilities, never for a class:

    Attributes:
        has_alignment: ``alignment`` returns weights.
        is_label_synchronous: The decoder is label-synchronous (predicts token by token), so ``log_likelihood``,
            sampling and constraints are available.
        supports_ensemble: Can be a member of an :class:`~decoders.ensemble.Ensemble`.
        export_form: The computation that can be exported as a graph: a step of the search, whose state always consists
            of the same tensors; the log-probabilities of all frames; or none.
    """

    export_form: Literal["step", "frames"] | None = None
    has_alignment: bool = False
    is_label_synchronous: bool = False
    supports_ensemble: bool = False

    @abstractmethod
    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
        num_tokens: int | None = None,
    ) -> Loss:
        """Return the training loss and the negative log-likelihood of the sentences.

        Args:
            tokens: Sentences between BOS and EOS, padded.
            memory: One row for each sentence.
            label_smoothing: Weight of the uniform distribution in the targets (Szegedy et al. 2016). Frame-synchronous
                decoders, whose loss is not a sum over next tokens, have no use for it.
            teacher_forcing: Probability that a step reads the true previous token, see
                ``AutoregressiveDecoder.unroll``. Frame-synchronous decoders sum over all alignments instead.
            num_tokens: The number of real tokens after BOS, where it is known without asking the device.
        """

    @abstractmethod
    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """Return the best sentences for each row of ``memory``, best first.

        Raises:
            ValueError: for a setting or a constraint that this decoder does not support.
        """

    @abstractmethod
    def alignment(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch positions source"] | None:
        """Return the weights of the source positions for each target token, or None without an alignment.

        ``tokens`` are sentences between BOS and EOS, padded. Label-synchronous decoders return a row for every token
        after BOS, so EOS included; frame-synchronous ones generate no EOS and return no row for it.
        """

    def alignment_and_gates(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> tuple[Float[Tensor, "batch positions source"] | None, Float[Tensor, "batch positions"] | None]:
        """Return the alignment, and the gate, 0 to 1, of each context, or None for a decoder without gates."""
        return self.alignment(tokens, memory), None

    @abstractmethod
    def state_spans(
        self, tokens: Int[Tensor, "batch target"], groups: Int[Tensor, "batch target"], memory: Memory
    ) -> Int[Tensor, "batch groups 2"] | None:
        """Return the states of the memory that groups of tokens, such as words, were read from; None without alignment.

        The groups are read one after another, as words are from sound: their spans are in order, and those of
        neighbors have at most one state in common.

        Args:
            tokens: Sentences between BOS and EOS, padded.
            groups: The number of each token's group, from 0 and increasing along a sentence; -1 for tokens of none,
                among them BOS, EOS and padding.
            memory: One row for each sentence.

        Returns:
            The first state of each group, and the one after its last. Both are -1 where a sentence has fewer groups
            than others, and where it has more than its states can hold.
        """

    def log_likelihood(self, tokens: Int[Tensor, "batch target"], memory: Memory) -> Float[Tensor, " batch"]:
        """Return log p of each sentence in nats, EOS included; ``tokens`` as in ``loss``.

        Raises:
            ValueError: if the decoder is not label-synchronous.
        """
        raise ValueError(
            f"{type(self).__name__} is not label-synchronous (predicts token by token), so it has no log_likelihood"
        )
