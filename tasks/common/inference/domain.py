"""Recognize inputs that are far from the training data, with statistics of the validation split in the run folder.

Two numbers are measured of a source: the log-likelihood of the sentence that greedy search generates from it, and the
share of its tokens that the vocabulary lacks. A trained model is sure of what it generates within its domain and less
sure outside of it. Of models trained on the toy world, the first percentile of validation is above the values of all
real sentences and recordings, 97 % of real photographs and 83 % of real videos (Multi30k, GRID, Flickr8k, MSR-VTT), and
above those of 1.1 to 1.4 % of the toy world's own test split.

Greedy search, whatever the settings of the search that generates the output, makes the numbers of a run comparable:
samples, constraints and rerankers would all change the likelihood.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from decoders.base import Hypothesis
from decoders.config import SearchConfig
from tasks.common.errors import UsageError
from tasks.common.files import load_json, save_json
from tasks.common.inference.predictor import Predictor
from tasks.common.task import Task

FILE = "domain.json"
MAX_SOURCES = 1000  # of the validation split that are measured
MIN_SOURCES = 100  # with fewer, the first percentile is not known, and extreme values are accidents
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5)


@dataclass(frozen=True)
class Familiarity:
    """Measurements of a source.

    Attributes:
        log_prob: Log-likelihood of the greedy sentence in nats per token, its end included.
        unknown: Share of the source's tokens, 0 to 1, that are not in the vocabulary.
    """

    log_prob: float
    unknown: float

    @classmethod
    def mean(cls, parts: Sequence["Familiarity"]) -> "Familiarity":
        """Average over the segments of an input."""
        return cls(statistics.fmean(part.log_prob for part in parts), statistics.fmean(part.unknown for part in parts))


@dataclass(frozen=True)
class Domain:
    """Statistics of the sources of a validation split.

    Attributes:
        num_sources: Their number.
        log_prob: The quantiles of their ``Familiarity.log_prob``, by their probabilities, 0.0 for the lowest value.
        max_unknown: The largest ``Familiarity.unknown``.
    """

    num_sources: int
    log_prob: dict[str, float]
    max_unknown: float

    @classmethod
    def measure(cls, predictor: Predictor, sources: Sequence[Any], lengths: Sequence[int]) -> "Domain":
        """Measure a model on the sources of a validation split, whose lengths are ``lengths``."""
        measured = measure(predictor, sources[:MAX_SOURCES], lengths[:MAX_SOURCES])
        log_probs = [each.log_prob for each in measured]
        values = np.quantile(log_probs, QUANTILES, method="lower").tolist()
        quantiles = {str(probability): value for probability, value in zip(QUANTILES, values, strict=True)}
        return cls(len(measured), quantiles, max(each.unknown for each in measured))

    @classmethod
    def load(cls, run: Path) -> "Domain | None":
        """Load the statistics of a run; None if it has none: it was stopped, or trained before there were any.

        Raises:
            UsageError: the file is broken.
        """
        if not (run / FILE).is_file():
            return None
        try:
            domain = cls(**load_json(run / FILE))
            numbers = domain.num_sources, domain.max_unknown, *(domain.log_prob[str(each)] for each in QUANTILES)
            if not all(isinstance(number, (int, float)) for number in numbers):
                raise TypeError("numbers are expected")
            return domain
        except (TypeError, KeyError) as error:
            raise UsageError(f"{run / FILE} is not the statistics of a run; remove it or train again") from error

    def save(self, run: Path) -> None:
        save_json(run / FILE, asdict(self))

    @property
    def min_log_prob(self) -> float:
        """The log-likelihood below which a source is out of the domain."""
        if self.num_sources >= MIN_SOURCES:
            return self.log_prob["0.01"]
        return 2 * self.log_prob["0.0"] - self.log_prob["0.5"]

    @property
    def unknown_limit(self) -> float:
        """The share of unknown tokens above which a source is out of the domain.

        A few sources often have no unknown token at all, while one in the next source is nothing unusual. So the limit
        is then halfway between their largest share and 1.
        """
        return self.max_unknown if self.num_sources >= MIN_SOURCES else (self.max_unknown + 1) / 2

    def problem(self, source: Familiarity) -> str | None:
        """Describe why a source is out of the domain; None if it is not."""
        if source.unknown > self.unknown_limit:
            unknown, usual = 100 * source.unknown, 100 * self.max_unknown
            return f"{unknown:.0f} % of its tokens are unknown, in validation at most {usual:.0f} %"
        if source.log_prob < self.min_log_prob:
            return (
                f"log-likelihood of its sentence {source.log_prob:.2f} nats per token, in validation above "
                f"{self.min_log_prob:.2f}"
            )
        return None


def measure(predictor: Predictor, sources: Sequence[Any], lengths: Sequence[int]) -> list[Familiarity]:
    """Measure sources, whose lengths are ``lengths``, with the (first) model of a predictor."""
    single, search = Predictor(predictor.task, predictor.models[:1]), greedy_search(predictor.task)
    known = measure_hypotheses(single, sources, single.generate_all(sources, lengths, search), search)
    assert known is not None
    return known


def measure_with(
    predictor: Predictor,
    sources: Sequence[Any],
    lengths: Sequence[int],
    hypotheses: Sequence[Sequence[Hypothesis]],
    search: SearchConfig,
) -> list[Familiarity]:
    """Measure sources as ``measure`` does, by the hypotheses of ``search`` where they are those of a greedy search."""
    return measure_hypotheses(predictor, sources, hypotheses, search) or measure(predictor, sources, lengths)


def measure_hypotheses(
    predictor: Predictor, sources: Sequence[Any], hypotheses: Sequence[Sequence[Hypothesis]], search: SearchConfig
) -> list[Familiarity] | None:
    """Measure sources by hypotheses that are there already.

    Args:
        predictor: The model that generated them.
        sources: The sources.
        hypotheses: The ranked hypotheses of each source.
        search: The search that generated them.

    Returns:
        What ``measure`` would return; None if they are not those of a greedy search by a single model.
    """
    task = predictor.task
    is_single = len(predictor.models) == 1 and predictor.reranker is None
    if not is_single or replace(search, length_penalty=0.0) != greedy_search(task):
        return None
    # The scores of decoders without an end of the sentence are not divided by the length.
    power = search.length_penalty if predictor.models[0].decoder.is_label_synchronous else 0.0
    log_probs = [best[0].score * (len(best[0].tokens) + 1) ** (power - 1) if best else -np.inf for best in hypotheses]
    return [Familiarity(*pair) for pair in zip(log_probs, task.unknown_shares(sources), strict=True)]


def greedy_search(task: Task) -> SearchConfig:
    """Return the search whose sentences are measured; without a length penalty, scores are whole log-likelihoods."""
    return SearchConfig(beam=1, length_penalty=0.0, max_length=task.config.search.max_length)
