"""CIDEr-D (Vedantam et al. 2015): how much a caption says of what most people said, and few said of other pictures."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

ORDERS = 4  # n-grams of 1 to 4 words
DEVIATION = 6.0  # words, of the penalty for another length

Ngram = tuple[str, ...]


class Vector(NamedTuple):
    """A sentence: the weight of each n-gram, the norm of those of each order, and the sentence's length."""

    weights: dict[Ngram, float]
    norms: list[float]
    length: int


@dataclass(frozen=True)
class Cider:
    """Scores against the references of a whole corpus, whose vectors are made once.

    The same numbers as pycocoevalcap's, which makes all vectors anew for each corpus of hypotheses; here one sentence
    can be scored at a time, as learning needs it.
    """

    frequencies: Counter[Ngram]  # in how many pictures' references an n-gram stands
    pictures: int
    references: list[list[Vector]]

    @classmethod
    def of(cls, references: Sequence[Sequence[str]]) -> "Cider":
        """``references[i]`` are the sentences of picture i, tokenised: words stand between spaces."""
        counted = [[ngrams(text) for text in given] for given in references]
        frequencies = Counter(ngram for given in counted for ngram in {ngram for text in given for ngram in text})
        cider = cls(frequencies, len(references), [])
        cider.references.extend([cider.vector(text) for text in given] for given in counted)
        return cider

    def vector(self, counts: Counter[Ngram]) -> Vector:
        """TF-IDF weights; what no reference has counts as if one had it."""
        corpus = math.log(self.pictures)
        rarity = {ngram: corpus - math.log(max(1, self.frequencies[ngram])) for ngram in counts}
        weights = {ngram: count * rarity[ngram] for ngram, count in counts.items()}
        squares = [0.0] * ORDERS
        for ngram, weight in weights.items():
            squares[len(ngram) - 1] += weight**2
        length = sum(count for ngram, count in counts.items() if len(ngram) == 2)
        return Vector(weights, [math.sqrt(square) for square in squares], length)

    def score(self, picture: int, hypothesis: str) -> float:
        """From 0 to 10 for one tokenised sentence."""
        own = self.vector(ngrams(hypothesis))
        given = self.references[picture]
        return 10 * sum(similarity(own, reference) for reference in given) / (ORDERS * len(given))


def ngrams(text: str) -> Counter[Ngram]:
    words = text.split()
    return Counter(
        tuple(words[start : start + order]) for order in range(1, ORDERS + 1) for start in range(len(words) - order + 1)
    )


def similarity(own: Vector, reference: Vector) -> float:
    """Cosines of the n-grams of each order, added up. No n-gram helps more often than the reference has it."""
    products = [0.0] * ORDERS
    for ngram, weight in own.weights.items():
        other = reference.weights.get(ngram)
        if other is not None:
            products[len(ngram) - 1] += min(weight, other) * other
    norms = (first * second for first, second in zip(own.norms, reference.norms, strict=True))
    cosine = sum(product / norm if norm else product for product, norm in zip(products, norms, strict=True))
    return cosine * math.exp(-((own.length - reference.length) ** 2) / (2 * DEVIATION**2))
