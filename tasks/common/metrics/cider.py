"""CIDEr-D (Vedantam et al. 2015): n-gram overlap of captions, which favors n-grams that are rare in other captions."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_ORDER = 4  # n-grams of 1 to 4 words
LENGTH_DEVIATION = 6.0  # words, of the Gaussian penalty for a different length

Ngram = tuple[str, ...]


class Vector(NamedTuple):
    """A sentence: the weight of each n-gram, the norms of the weights of each order, and the sentence's length."""

    weights: dict[Ngram, float]
    norms: list[float]
    length: int


@dataclass(frozen=True)
class Cider:
    """Scores sentences with the references of a whole corpus, whose vectors are computed once.

    The same numbers as pycocoevalcap's, which computes all vectors again for each corpus of hypotheses; here one
    sentence can be scored at a time, which self-critical training needs.

    Attributes:
        frequencies: The number of examples in whose references an n-gram occurs.
        num_examples: The number of examples.
        references: The vectors of each example's references.
    """

    frequencies: Counter[Ngram]
    num_examples: int
    references: list[list[Vector]]

    @classmethod
    def from_references(cls, references: Sequence[Sequence[str]]) -> "Cider":
        """Make the vectors of a corpus; ``references[i]`` are the tokenized sentences (words and spaces) of row i."""
        counted = [[count_ngrams(text) for text in several] for several in references]
        frequencies = Counter(ngram for several in counted for ngram in {ngram for text in several for ngram in text})
        cider = cls(frequencies, len(references), [])
        cider.references.extend([cider.vector(text) for text in several] for several in counted)
        return cider

    def vector(self, counts: Counter[Ngram]) -> Vector:
        """Compute TF-IDF weights; an n-gram that occurs in no references is treated as if one had it."""
        log_num_examples = math.log(self.num_examples)
        idf = {ngram: log_num_examples - math.log(max(1, self.frequencies[ngram])) for ngram in counts}
        weights = {ngram: count * idf[ngram] for ngram, count in counts.items()}
        squares = [0.0] * MAX_ORDER
        for ngram, weight in weights.items():
            squares[len(ngram) - 1] += weight**2
        length = sum(count for ngram, count in counts.items() if len(ngram) == 2)
        return Vector(weights, [math.sqrt(square) for square in squares], length)

    def score(self, row: int, hypothesis: str) -> float:
        """Score a tokenized sentence with the references of a row, from 0 to 10."""
        own = self.vector(count_ngrams(hypothesis))
        references = self.references[row]
        return 10 * sum(similarity(own, reference) for reference in references) / (MAX_ORDER * len(references))


def count_ngrams(text: str) -> Counter[Ngram]:
    words = text.split()
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, MAX_ORDER + 1)
        for start in range(len(words) - order + 1)
    )


def similarity(own: Vector, reference: Vector) -> float:
    """Sum the cosines of the n-grams of each order. An n-gram counts at most as often as it occurs in the reference."""
    products = [0.0] * MAX_ORDER
    for ngram, weight in own.weights.items():
        other = reference.weights.get(ngram)
        if other is not None:
            products[len(ngram) - 1] += min(weight, other) * other
    norms = (first * second for first, second in zip(own.norms, reference.norms, strict=True))
    cosine = sum(product / norm if norm else product for product, norm in zip(products, norms, strict=True))
    return cosine * math.exp(-((own.length - reference.length) ** 2) / (2 * LENGTH_DEVIATION**2))
