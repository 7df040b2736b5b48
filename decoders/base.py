"""The contract between a decoder and everything that uses it: training, search, ensembles."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from attention.base import SampleInfo
from decoders.search_config import Hypothesis, SearchConfig
from encoders.base import Memory


@dataclass(frozen=True)
class DecoderOutput:
    """What a decoder has to say before the vocabulary, and where it looked (None: it does not attend).

    Kept apart from the logits because training multiplies only the real tokens' features with the vocabulary.
    ``sample``: what its looks have to answer for, where they were drawn (attention/hard.py).
    """

    features: Float[Tensor, "batch target dim"]
    weights: Float[Tensor, "batch target source"] | None
    sample: SampleInfo | None = None


class DecoderState(ABC):
    """All that a decoder remembers between two steps, for a grid of hypotheses: sentences × beam."""

    @abstractmethod
    def select(self, rows: Int[Tensor, "sentences beam"]) -> "DecoderState":
        """The state in which the hypothesis ``rows[i, j]`` of before is the ``j``-th of sentence ``i``.

        Hypotheses are counted through, sentence by sentence. All in one line of ``rows`` must belong to one
        sentence, so what is kept once a sentence (its memory) is never copied for a beam. Sentences keep their
        order and none comes twice, but some may be left out: that is how finished ones stop costing time.
        """


PAD, UNK, BOS, EOS = 0, 1, 2, 3  # the first four entries of every target vocabulary


# What a sentence must keep to beyond being probable: the form of a verse, for instance. Called with the next token's
# log-probabilities (rows, vocab), which it makes impossible in place, what each row has written (rows, length), and
# which of the memory's rows each belongs to (rows). Where nothing is left the sentence ends.
Constraint = Callable[[Tensor, Tensor, Tensor], None]


class Decoder(nn.Module, ABC):
    """Writes sentences from memories: how it aligns, learns and is searched is its own affair.

    Most are :class:`AutoregressiveDecoder`; those that read the source frame by frame (CTC, transducers) are not.
    """

    @abstractmethod
    def loss(
        self,
        tokens: Int[Tensor, "batch target"],
        memory: Memory,
        *,
        label_smoothing: float = 0.0,
        teacher_forcing: float = 1.0,
    ) -> Float[Tensor, ""]:
        """What training makes small, in nats, summed over the sentences.

        ``tokens`` are sentences between begin and end, padded. ``label_smoothing`` and ``teacher_forcing`` (see
        Stepwise.unroll) concern decoders that predict the next token; others leave them aside.
        """

    @abstractmethod
    def search(
        self, memory: Memory, config: SearchConfig, constraint: Constraint | None = None
    ) -> list[list[Hypothesis]]:
        """The best sentences for each row of ``memory``, best first, among those that keep to ``constraint``.

        Raises ValueError for an option that this decoder cannot follow.
        """

    @abstractmethod
    def alignment(
        self, tokens: Int[Tensor, "batch target"], memory: Memory
    ) -> Float[Tensor, "batch written source"] | None:
        """Which source positions stand behind each of ``tokens`` but the begin (None: nothing is aligned).

        ``tokens`` are sentences between begin and end, padded. Decoders that write no end leave its row out.
        """
