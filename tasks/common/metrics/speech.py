"""Error rates of transcripts, by jiwer."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import jiwer
import numpy as np

from tasks.common.metrics.base import Metric, SentenceStats


def word_error_metrics(normalize: Callable[[str], str], normalization_name: str) -> tuple[Metric, ...]:
    """Make the metrics word, character and match error rate, and the rates of substitutions, deletions and insertions.

    All are in %: WER = (S + D + I) / N with N words in the references, and MER = (S + D + I) / (N + I), which never
    exceeds 100 (Morris et al. 2004). Of several references the one with the fewest errors counts.

    Args:
        normalize: Applied to hypotheses and references first.
        normalization_name: Its name in the signature.
    """

    def stats_of_errors(process: Callable[..., Any], unit: str) -> Callable[..., SentenceStats]:
        def count_errors(hypothesis: str, reference: str) -> list[int]:
            if not reference:  # jiwer refuses it
                return [0, 0, len(hypothesis.split() if unit == "words" else hypothesis), 0]
            found = process(reference, hypothesis)
            return [found.substitutions, found.deletions, found.insertions, found.hits]

        def fewest_errors(hypothesis: str, references: Sequence[str]) -> list[int]:
            counts = (count_errors(normalize(hypothesis), normalize(reference)) for reference in references)
            return min(counts, key=lambda found: sum(found[:3]))

        def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            pairs = zip(hypotheses, references, strict=True)
            return np.array([fewest_errors(text, several) for text, several in pairs], dtype=float)

        return sufficient_stats

    def rate(numerator: Sequence[int], denominator: Sequence[int]) -> Callable[[np.ndarray], float]:
        def aggregate(total: np.ndarray) -> float:
            return float(100 * (total @ numerator) / max(1.0, total @ denominator))

        return aggregate

    def signature(references: Sequence[Sequence[str]]) -> str:
        return f"jiwer:{version('jiwer')}|text:{normalization_name}"

    words = stats_of_errors(jiwer.process_words, "words")
    characters = stats_of_errors(jiwer.process_characters, "characters")
    in_reference, in_alignment, errors = [1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]
    return tuple(
        Metric(name, stats, rate(numerator, denominator), higher_is_better=False, signature=signature, unit="%")
        for name, stats, numerator, denominator in (
            ("wer", words, errors, in_reference),
            ("cer", characters, errors, in_reference),
            ("mer", words, errors, in_alignment),
            ("substitutions", words, [1, 0, 0, 0], in_reference),
            ("deletions", words, [0, 1, 0, 0], in_reference),
            ("insertions", words, [0, 0, 1, 0], in_reference),
        )
    )
