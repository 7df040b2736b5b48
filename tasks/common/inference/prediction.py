"""The sentences that a trained model generates for an input."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from decoders.base import Hypothesis
from tasks.common.data.inputs import ParsedInput
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.word_times import Word

NOTHING = "nothing is recognized"


@dataclass(frozen=True)
class Sentence:
    """A generated sentence.

    Attributes:
        text: The sentence.
        score: The score by which it was ranked: with beam search its log-likelihood in nats, divided by a power of its
            length.
        tokens: Its tokens, as plots show them.
    """

    text: str
    score: float
    tokens: list[str]


@dataclass(frozen=True)
class Prediction:
    """The sentences generated for an input, a long recording in segments.

    Attributes:
        parsed: The input, its segments, and why it can't be used if it can't.
        hypotheses: The ranked hypotheses of each segment.
        predictor: The models that have generated them.
        out_of_domain: Why the input is far from the training data; None if it is not, or that is not known.
    """

    parsed: ParsedInput
    hypotheses: Sequence[Sequence[Hypothesis]]
    predictor: Predictor
    out_of_domain: str | None = None

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.parsed.name

    @property
    def problem(self) -> str | None:
        """The reason why the input can't be used; None if it can."""
        return self.parsed.problem

    @property
    def notes(self) -> list[str]:
        """Remarks on the input: that it can't be used, damage, that nothing is in it or recognized."""
        if self.problem:
            return [f"can't be used: it {self.problem}"]
        is_empty = not any(ranked and ranked[0].tokens for ranked in self.hypotheses)
        return [*self.parsed.notes, *([NOTHING] if is_empty else [])]

    @cached_property
    def segments(self) -> list[list[Sentence]]:
        """The ranked sentences of each segment."""
        task = self.predictor.task
        return [
            [
                Sentence(task.detokenize(each.tokens), each.score, task.tokenizer.display_tokens(each.tokens))
                for each in ranked
            ]
            for ranked in self.hypotheses
        ]

    @property
    def spans(self) -> list[tuple[float, float] | None]:
        """Begin and end of each segment in seconds, where the input has a duration."""
        return [segment.span for segment in self.parsed.segments]

    @property
    def text(self) -> str:
        """The best sentence, those of all segments one after another; empty if there is none."""
        return " ".join(ranked[0].text for ranked in self.segments if ranked and ranked[0].text)

    @property
    def n_best(self) -> list[Sentence]:
        """The ranked sentences of an input that is not split, or of its first segment."""
        return self.segments[0] if self.segments else []

    @property
    def score(self) -> float | None:
        """The score of the best sentence, the mean over the segments; None if there is none."""
        scores = [ranked[0].score for ranked in self.segments if ranked]
        return sum(scores) / len(scores) if scores else None

    @property
    def tokens(self) -> list[str]:
        """The tokens of the best sentence, those of all segments one after another."""
        return [token for ranked in self.segments if ranked for token in ranked[0].tokens]

    @cached_property
    def words(self) -> list[Word] | None:
        """The words of the best sentence with their times in the input, those of all segments one after another.

        None: see ``segment_words``.
        """
        return None if self.segment_words is None else [word for words in self.segment_words for word in words]

    @cached_property
    def segment_words(self) -> list[list[Word]] | None:
        """The words of the best sentence of each segment with their times in the input.

        They are computed when they are asked for. None where words have no times: the task's sentences are not what is
        said in the input, its duration is not known, or the decoder has no alignment.
        """
        if not self.predictor.has_word_times or not all(self.spans):
            return None
        said = {
            place: (segment.source, segment.span, ranked[0])
            for place, (segment, ranked) in enumerate(zip(self.parsed.segments, self.hypotheses, strict=True))
            if segment.span and ranked and ranked[0].tokens
        }
        times = self.predictor.word_times(*zip(*said.values(), strict=True)) if said else []
        found = dict(zip(said, times, strict=True))
        return [found.get(place, []) for place in range(len(self.hypotheses))]

    @cached_property
    def alignments(self) -> list[Float[Tensor, "target source"] | None]:
        """The attention weights of the best sentence of each segment and of its end, if it has a sentence.

        They are computed when they are asked for, by decoding the sentence once more. None for a decoder without
        attention weights.
        """
        return [
            self.predictor.attention_weights(segment.source, ranked[0]) if ranked and ranked[0].tokens else None
            for segment, ranked in zip(self.parsed.segments, self.hypotheses, strict=True)
        ]

    @property
    def alignment(self) -> Float[Tensor, "target source"] | None:
        """The alignment of an input that is not split, or of its first segment."""
        return self.alignments[0] if self.alignments else None

    def plot(self, path: Path | str, segment: int = 0) -> bool:
        """Plot the alignment of the best sentence of a segment into a PNG file.

        Returns:
            Whether there is one: none of a segment without a sentence, and of a decoder without alignments.
        """
        ranked = self.hypotheses[segment] if self.hypotheses else ()
        source = self.parsed.segments[segment].source if ranked else None
        return bool(ranked) and self.predictor.plot_alignment(source, ranked[0], Path(path)) is not None
