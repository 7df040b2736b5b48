"""Metrics of translation, by sacreBLEU (Post 2018)."""

import copy
import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from tasks.common.metrics.base import Metric, SentenceStats

# The tokenizer of each language that is written without spaces, by its codes in ISO 639-1 and 639-3.
UNSPACED = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue", "wuu", "nan", "hak", "lzh"), "zh"),
    **dict.fromkeys(("ja", "jpn", "th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bo", "bod"), "char"),
}


def sacrebleu_metric(name: str, scorer: Any, higher_is_better: bool = True, fast: bool = True) -> Metric:
    """Wrap a metric of sacreBLEU. Sentences with fewer references than others are padded with None."""

    def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
        streams = [
            [several[index] if index < len(several) else None for several in references]
            for index in range(max(map(len, references)))
        ]
        # The two methods that sacrebleu.significance resamples with; they have no public name.
        return np.array(scorer._extract_corpus_statistics(list(hypotheses), streams), dtype=float)

    def aggregate(total: np.ndarray) -> float:
        return float(scorer._compute_score_from_stats(total.tolist()).score)

    def signature(references: Sequence[Sequence[str]]) -> str:
        counts = {len(several) for several in references}
        scorer.num_refs = counts.pop() if len(counts) == 1 else -1  # sacreBLEU's own value for "it varies"
        return str(scorer.get_signature())

    sentence_scorer = copy.copy(scorer)
    sentence_scorer.effective_order = True  # of BLEU: a sentence of three words has no 4-grams, and scores 100 without

    def aggregate_sentence(stats: np.ndarray) -> float:
        return float(sentence_scorer._compute_score_from_stats(stats.tolist()).score)

    return Metric(
        name, sufficient_stats, aggregate, higher_is_better, signature, fast, aggregate_sentence=aggregate_sentence
    )


class QuickTER(TER):
    """sacreBLEU's TER, without its search for shifted phrases where the hypothesis equals a reference: no edits.

    It takes milliseconds for each reference otherwise, and a good model often writes one of several.
    """

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, Any]) -> list[int | float]:
        references = ref_kwargs["ref_words"]
        if hypothesis.split() in references:
            return [0, sum(map(len, references)) / len(references)]
        return super()._compute_segment_statistics(hypothesis, ref_kwargs)


@functools.cache
def translation_metrics(language: str) -> tuple[Metric, ...]:
    """Make the metrics BLEU, lower-cased BLEU, chrF and TER, on raw text, with sacreBLEU's tokenizer for a language.

    Args:
        language: The name of a column or an ending, of which the language subtag counts: zh, zh_CN, zho_Hans, cmn.

    The default tokenizer, 13a, splits at spaces; for languages without spaces it would match whole sentences only.
    """
    tokenizer = UNSPACED.get(re.split(r"[-_.]", language)[0].lower(), "13a")
    is_unspaced = tokenizer != "13a"
    return (
        sacrebleu_metric("bleu", BLEU(tokenize=tokenizer)),
        sacrebleu_metric("bleu_lowercase", BLEU(tokenize=tokenizer, lowercase=True)),
        sacrebleu_metric("chrf", CHRF()),
        # Its search for shifted phrases takes seconds for a few hundred sentences with several references.
        sacrebleu_metric(
            "ter", QuickTER(normalized=is_unspaced, asian_support=is_unspaced), higher_is_better=False, fast=False
        ),
    )
