"""Summarization: a text in, its gist out."""

import statistics
from dataclasses import dataclass

import datasets

from tasks.common.data.parallel_text import load_pairs
from tasks.common.metrics.base import Metric
from tasks.common.metrics.diversity import length_ratio_metric, novelty_metrics
from tasks.common.metrics.rouge import rouge_metrics
from tasks.common.text.tokenizer import strip_newlines
from tasks.common.text.words import first_words, split_words
from tasks.common.text_task import TextTask, TextTaskConfig
from tasks.summarization.docstrings import load_docstrings


@dataclass(frozen=True, kw_only=True)
class SummarizationConfig(TextTaskConfig):
    source: str = "document"
    """Column or file ending of the texts."""
    target: str = "summary"
    """Column or file ending of their summaries."""
    packages: tuple[str, ...] = ()
    """Without data: whose docstrings are read (none: those of all installed packages)."""


class Summarization(TextTask[SummarizationConfig]):
    reads_whole_files = True

    def __init__(self, config: SummarizationConfig):
        super().__init__(config)
        self.metrics = (*rouge_metrics(), length_ratio_metric())

    def metrics_for(self, examples: datasets.Dataset) -> tuple[Metric, ...]:
        return (*self.metrics, *novelty_metrics(examples["source"]))

    def baselines(self, examples: datasets.Dataset) -> dict[str, list[str]]:
        """The first words, as many as a reference has in the mean."""
        count = round(statistics.fmean(len(split_words(target)) for target in examples["target"]))
        return {"lead": [first_words(source, count) for source in examples["source"]]}

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        if config.data is None:
            return load_docstrings(split, config.packages)
        return load_pairs(config.data, split, config.source, config.target, config.skip_invalid)

    def parse_source(self, text: str) -> str:
        """Documents are read as one line, as those of training are."""
        return strip_newlines(text)
