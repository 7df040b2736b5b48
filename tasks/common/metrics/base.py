"""Metrics on strings, each the score of a sum of sentence statistics: so corpus score, score by length, confidence
interval and paired test are all the same few numbers, added up in different ways."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import jiwer
import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

SentenceStats = np.ndarray  # (examples, numbers)


@dataclass(frozen=True)
class SelectionMetric:
    """A number of the validation split that picks the checkpoint."""

    name: str
    higher_is_better: bool

    def better(self, score: float, than: float | None) -> bool:
        return than is None or (score > than if self.higher_is_better else score < than)


@dataclass(frozen=True)
class Metric:
    """``name`` as in a table; ``statistics`` of each example; ``pool`` turns a sum of statistics into the score."""

    name: str
    statistics: Callable[[Sequence[str], Sequence[Sequence[str]]], SentenceStats]
    pool: Callable[[np.ndarray], float]
    higher_is_better: bool = True
    signature: Callable[[Sequence[Sequence[str]]], str] = lambda references: ""
    """What the score must be quoted with, given the references it was computed on."""
    fast: bool = True
    """Whether training may compute it at each evaluation; else it waits for the command evaluate."""

    def __call__(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """The corpus score. ``references[i]`` are the right sentences for ``hypotheses[i]``."""
        return self.pool(self.statistics(hypotheses, references).sum(axis=0))

    @property
    def selection_metric(self) -> SelectionMetric:
        return SelectionMetric(self.name, self.higher_is_better)


def scores(values: Iterable[float]) -> SentenceStats:
    """Statistics of a metric that is the mean of what single sentences score, from 0 to 1; ``mean`` pools them."""
    return np.array([[value, 1.0] for value in values])


def mean(total: np.ndarray) -> float:
    """Of a sum of scores and their number, in %."""
    return float(100 * total[0] / total[1])


def share(total: np.ndarray) -> float:
    """Of a sum of parts and the sum of their wholes, in %; 0 where there is nothing to have a part of."""
    return float(100 * total[0] / total[1]) if total[1] else 0.0


def sacrebleu_metric(name: str, scorer: Any, higher_is_better: bool = True, fast: bool = True) -> Metric:
    """A metric of sacreBLEU (Post 2018). Sentences with fewer references than others are padded with None."""

    def statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
        streams = [
            [given[index] if index < len(given) else None for given in references]
            for index in range(max(map(len, references)))
        ]
        # The pair of methods that sacrebleu.significance resamples with; they have no public name.
        return np.array(scorer._extract_corpus_statistics(list(hypotheses), streams), dtype=float)

    def pool(total: np.ndarray) -> float:
        return float(scorer._compute_score_from_stats(total.tolist()).score)

    def signature(references: Sequence[Sequence[str]]) -> str:
        counts = {len(given) for given in references}
        scorer.num_refs = counts.pop() if len(counts) == 1 else -1  # sacreBLEU's own mark for "it varies"
        return str(scorer.get_signature())

    return Metric(name, statistics, pool, higher_is_better, signature, fast)


def word_error_metrics(normalize_text: Callable[[str], str], name: str) -> tuple[Metric, ...]:
    """Word and character error rate, match error rate, and the kinds of errors in % of the reference's words, by jiwer.

    Both sides are normalised first, and the signature says how: ``name``. Of several references the one with the
    fewest errors counts. WER = (S + D + I) / N, and MER = (S + D + I) / (N + I) never exceeds 100 (Morris et al. 2004).
    """

    def counter(process: Callable[..., Any], unit: str) -> Callable[..., SentenceStats]:
        def count(hypothesis: str, reference: str) -> list[int]:
            if not reference:  # jiwer refuses it
                return [0, 0, len(hypothesis.split() if unit == "words" else hypothesis), 0]
            found = process(reference, hypothesis)
            return [found.substitutions, found.deletions, found.insertions, found.hits]

        def statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            counts = [
                min(
                    (count(normalize_text(text), normalize_text(right)) for right in given),
                    key=lambda found: sum(found[:3]),
                )
                for text, given in zip(hypotheses, references, strict=True)
            ]
            return np.array(counts, dtype=float)

        return statistics

    def rate(weights: Sequence[int], over: Sequence[int]) -> Callable[[np.ndarray], float]:
        def pool(total: np.ndarray) -> float:
            return float(100 * (total @ weights) / max(1.0, total @ over))

        return pool

    def signature(references: Sequence[Sequence[str]]) -> str:
        return f"jiwer:{version('jiwer')}|text:{name}"

    words, characters = counter(jiwer.process_words, "words"), counter(jiwer.process_characters, "characters")
    reference, everything, errors = [1, 1, 0, 1], [1, 1, 1, 1], [1, 1, 1, 0]
    return tuple(
        Metric(title, statistics, rate(weights, over), higher_is_better=False, signature=signature)
        for title, statistics, weights, over in (
            ("wer", words, errors, reference),
            ("cer", characters, errors, reference),
            ("mer", words, errors, everything),
            ("substitutions", words, [1, 0, 0, 0], reference),
            ("deletions", words, [0, 1, 0, 0], reference),
            ("insertions", words, [0, 0, 1, 0], reference),
        )
    )


def translation_metrics(language: str) -> tuple[Metric, ...]:
    """BLEU cased and lower-cased, chrF and TER, on raw text by sacreBLEU's own tokenizer for the target language.

    The usual one, 13a, cuts at spaces; languages without spaces would score nothing but whole sentences by it.
    """
    tokenizer = {"zh": "zh", "ja": "char", "th": "char"}.get(language, "13a")
    unspaced = tokenizer != "13a"
    return (
        sacrebleu_metric("bleu", BLEU(tokenize=tokenizer)),
        sacrebleu_metric("bleu_lowercase", BLEU(tokenize=tokenizer, lowercase=True)),
        sacrebleu_metric("chrf", CHRF()),
        # Searching for the shifts of phrases takes seconds for a few hundred sentences with several references.
        sacrebleu_metric("ter", TER(normalized=unspaced, asian_support=unspaced), higher_is_better=False, fast=False),
    )


@dataclass(frozen=True)
class Bootstrap:
    """Resampled test sets (Koehn 2004): ``samples`` times as many sentences, drawn with replacement, seeded.

    Two systems are compared on the same draws, so what one test set has in easy sentences cancels out.
    """

    examples: int
    samples: int = 1000
    seed: int = 12345

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each example was drawn into each sample: (samples, examples)."""
        drawn = np.random.default_rng(self.seed).integers(self.examples, size=(self.samples, self.examples))
        return np.stack([np.bincount(row, minlength=self.examples) for row in drawn])

    def scores(self, metric: Metric, statistics: SentenceStats) -> np.ndarray:
        return np.array([metric.pool(total) for total in self.counts @ statistics])

    def interval(self, metric: Metric, statistics: SentenceStats) -> tuple[float, float]:
        """The middle 95 % of the scores."""
        low, high = np.percentile(self.scores(metric, statistics), [2.5, 97.5])
        return float(low), float(high)

    def compare(self, metric: Metric, system: SentenceStats, baseline: SentenceStats) -> dict[str, Any]:
        """The difference of a system to a baseline, its 95 % interval, and the two-sided p that there is none.

        p is the share of samples in which the difference, moved to a mean of zero, is at least as large as the one
        measured, in either direction (Riezler & Maxwell 2005). sacreBLEU prints about half of it: it subtracts the
        mean of the differences' sizes, so it counts one direction.
        """
        differences = self.scores(metric, system) - self.scores(metric, baseline)
        measured = metric.pool(system.sum(axis=0)) - metric.pool(baseline.sum(axis=0))
        low, high = np.percentile(differences, [2.5, 97.5])
        exceeding = np.abs(differences - differences.mean()) >= abs(measured)
        p = (exceeding.sum() + 1) / (self.samples + 1)
        return {"difference": measured, "interval": [float(low), float(high)], "p": float(p)}
