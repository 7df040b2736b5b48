"""Error rates of transcripts after the text normalization of Whisper (Radford et al. 2023)."""

import dataclasses
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Literal

from tasks.common.metrics.base import Metric
from tasks.common.metrics.speech import word_error_metrics

WhisperNormalization = Literal["whisper", "whisper_basic"]


def whisper_normalizer(kind: WhisperNormalization) -> Callable[[str], str]:
    """Return Whisper's normalization of English, or the basic one for other languages.

    That of English is not in transformers: its table of British spellings lies in the folders of Whisper's models.
    """
    if kind == "whisper":
        from whisper_normalizer.english import EnglishTextNormalizer

        return EnglishTextNormalizer()
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()


def has_error_rates(metrics: Sequence[Metric]) -> bool:
    """Tell whether error rates of transcripts are among some metrics."""
    return not names_of_error_rates().isdisjoint(metric.name for metric in metrics)


def names_of_error_rates() -> set[str]:
    return {metric.name for metric in word_error_metrics(str, "none")}


def normalized_error_rates(metrics: Sequence[Metric], kind: WhisperNormalization) -> tuple[Metric, ...]:
    """Replace error rates of transcripts by those of normalized ones; the signature names both normalizations.

    References have had the normalization of the task already, with which it has loaded them.
    """
    normalize = whisper_normalizer(kind)
    rates = {metric.name: metric for metric in word_error_metrics(normalize, kind)}

    def replace(metric: Metric) -> Metric:
        if metric.name not in rates:
            return metric

        def signature(references: Sequence[Sequence[str]]) -> str:
            return f"{metric.signature(references)}+{kind}|whisper_normalizer:{version('whisper_normalizer')}"

        return dataclasses.replace(rates[metric.name], signature=signature)

    return tuple(map(replace, metrics))
