"""Summarization: a document in, a summary out."""

import statistics
from typing import TYPE_CHECKING

from tasks.common.data.parallel_text import load_pairs
from tasks.common.metrics.base import Metric
from tasks.common.metrics.diversity import length_ratio_metric, novelty_metrics
from tasks.common.metrics.rouge import rouge_metrics
from tasks.common.text.normalization import strip_newlines
from tasks.common.text.words import first_words, split_words
from tasks.common.text_task import TextReport, TextTask
from tasks.summarization.config import SummarizationConfig
from tasks.summarization.docstrings import load_docstrings

if TYPE_CHECKING:
    import datasets


class SummarizationReport(TextReport):
    """Add the lead baseline to the report."""

    def baselines(self, examples: "datasets.Dataset") -> dict[str, list[str]]:
        """Return the first words of each document, as many as a reference has on average."""
        count = round(statistics.fmean(len(split_words(target)) for target in examples["target"]))
        return {"lead": [first_words(source, count) for source in examples["source"]]}


class Summarization(TextTask[SummarizationConfig]):
    """Summarize docstrings of installed packages, or documents of tables, files or the hub."""

    builtin_data = "docstrings of Python packages"
    hub_task = "summarization"
    one_input_per_file = True
    report = SummarizationReport()

    def __init__(self, config: SummarizationConfig):
        super().__init__(config)
        self.metrics = (*rouge_metrics(), length_ratio_metric())

    def metrics_for(self, examples: "datasets.Dataset") -> tuple[Metric, ...]:
        return (*self.metrics, *novelty_metrics(examples["source"]))

    def load(self, split: str) -> "datasets.Dataset":
        config = self.config
        if config.data is None:
            return load_docstrings(split, config.packages)
        return load_pairs(config.data, split, config.source, config.target, config.skip_invalid)

    def parse_source(self, text: str) -> str:
        """Join the lines of a document, as in the training data."""
        return strip_newlines(text)
