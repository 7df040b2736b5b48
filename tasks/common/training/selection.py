"""The choice of the best evaluation: by likelihood until the metric says something about sources, then by the metric.

A model that has learned little generates the same sentence for all sources, or sentences that have nothing to do with
them. Metrics of such output are noise: an epoch with 0.2 BLEU is no better than one with 0.1. The metric says something
once the output fits its own sources better than it fits those of others, significantly and by a point at least.
"""

from collections.abc import Sequence

from tasks.common.metrics.base import Metric, SelectionMetric, SentenceStats
from tasks.common.metrics.bootstrap import Bootstrap

SIGNIFICANCE = 0.05
MIN_GAIN = 1.0  # in points; metrics are percentages
NUM_SAMPLES = 200
Rank = tuple[bool, float]  # whether it is of the metric, and the score with higher values better


def rank_evaluation(scores: dict[str, float], selection: SelectionMetric, is_above_chance: bool) -> Rank:
    """Return a value that is greater for a better evaluation.

    Any evaluation whose output is above chance is better than all others; those are ordered by the metric that selects
    the checkpoint, and the others by their negative log-likelihood.

    Args:
        scores: The scores of an evaluation, nll among them.
        selection: The metric that selects the checkpoint.
        is_above_chance: Whether ``is_above_chance`` holds of its output.
    """
    if not is_above_chance:
        return False, -scores["nll"]
    score = scores[selection.name]
    return True, score if selection.higher_is_better else -score


def is_above_chance(
    metric: Metric, own: SentenceStats, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> bool:
    """Test whether hypotheses score better than the same hypotheses for other sources: significantly and visibly.

    Each source gets the hypothesis of the one half of the split away, since neighbors may be alike: sentences of a
    text, or recordings of a speaker.

    Args:
        metric: The metric.
        own: Its statistics of the hypotheses.
        hypotheses: A hypothesis for each source.
        references: The references of each source.
    """
    half = len(hypotheses) // 2
    other = metric.sufficient_stats([*hypotheses[half:], *hypotheses[:half]], references)
    result = Bootstrap(len(hypotheses), NUM_SAMPLES).compare(metric, own, other)
    gain = result["difference"] if metric.higher_is_better else -result["difference"]
    return gain >= MIN_GAIN and result["p"] < SIGNIFICANCE
