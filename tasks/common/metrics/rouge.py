"""ROUGE (Lin 2004), for texts in any script."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer

from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, stats_of_scores
from tasks.common.text.words import split_words

ROUGES = ("rougeL", "rouge1", "rouge2")


class StemTokenizer:
    """Splits a text into stems. On English it does the same as rouge-score's own tokenizer with stemmer, which drops
    everything outside a to z, and so all characters of most languages."""

    def __init__(self):
        self.stem = cache(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        return [self.stem(word) if len(word) > 3 and word.isascii() else word for word in split_words(text)]


def rouge_metrics() -> tuple[Metric, ...]:
    """Make the metrics ROUGE-L, ROUGE-1 and ROUGE-2: the mean F1; of several references the best one counts.

    ROUGE-L treats a summary as one sentence (rougeL, not rougeLsum).
    """
    tokenizer = StemTokenizer()

    def metric(name: str) -> Metric:
        scorer = RougeScorer([name], tokenizer=tokenizer)

        def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            return stats_of_scores(
                scorer.score_multi(list(several), text)[name].fmeasure
                for text, several in zip(hypotheses, references, strict=True)
            )

        return Metric(name, sufficient_stats, mean_percent, signature=signature)

    def signature(references: Sequence[Sequence[str]]) -> str:
        return f"rouge-score:{version('rouge-score')}|stem:porter|f1"

    return tuple(map(metric, ROUGES))
