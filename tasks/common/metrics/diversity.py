"""Measures of variety and length: novel and distinct n-grams, distinct and novel captions, length ratio."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from tasks.common.errors import UsageError
from tasks.common.metrics.base import Metric, SentenceStats, ratio_percent
from tasks.common.text.normalization import normalize_text
from tasks.common.text.words import ngrams, split_words


def length_ratio_metric() -> Metric:
    """Make the metric of the number of words in % of that of the (first) references."""

    def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
        pairs = zip(hypotheses, references, strict=True)
        return np.array(
            [[len(split_words(text)), len(split_words(several[0]))] for text, several in pairs], dtype=float
        )

    return Metric("length_ratio", sufficient_stats, ratio_percent)


def novelty_metrics(sources: Sequence[str], orders: Iterable[int] = (1, 2, 3)) -> tuple[Metric, ...]:
    """Make the metrics of the n-grams that do not occur in the source, in % of a text's n-grams (See et al. 2017).

    Args:
        sources: The source of each hypothesis.
        orders: The orders of n-grams, one metric each.
    """
    source_words = [split_words(source) for source in sources]

    def metric(order: int) -> Metric:
        def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            rows = []
            for text, source in zip(hypotheses, source_words, strict=True):
                own, known = ngrams(split_words(text), order), set(ngrams(source, order))
                rows.append([sum(ngram not in known for ngram in own), len(own)])
            return np.array(rows, dtype=float)

        return Metric(f"novel_{order}grams", sufficient_stats, ratio_percent)

    return tuple(map(metric, orders))


def distinct_n(hypotheses: Sequence[str], order: int) -> float:
    """Count the distinct n-grams, in % of all words (distinct-n, Li et al. 2016): low where texts are all alike."""
    texts = [split_words(text) for text in hypotheses]
    distinct = set(chain.from_iterable(ngrams(words, order) for words in texts))
    return 100 * len(distinct) / max(1, sum(map(len, texts)))


def caption_diversity(
    hypotheses: Sequence[str], training_captions: Callable[[], Iterable[Sequence[str]]]
) -> dict[str, float]:
    """Measure the variety of captions.

    Args:
        hypotheses: The captions.
        training_captions: Returns the captions of the training data, or raises UsageError if they no longer exist.

    Returns:
        The number of distinct words, the % of distinct captions, and the % of captions that do not occur in the
        training data, if it exists.
    """
    texts = [normalize_text(text, "no_punctuation") for text in hypotheses]
    report = {
        "vocabulary used": float(len({word for text in texts for word in text.split()})),
        "distinct captions": 100 * len(set(texts)) / len(texts),
    }
    try:
        known = {normalize_text(text, "no_punctuation") for captions in training_captions() for text in captions}
    except UsageError:
        return report
    return report | {"novel captions": 100 * sum(text not in known for text in texts) / len(texts)}
