"""Metrics besides those of a task, for the command evaluate: of pretrained models, or of normalized texts."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import datasets
import torch

from tasks.common.errors import UsageError
from tasks.common.inference.config import Normalization
from tasks.common.metrics.base import Metric
from tasks.common.metrics.bert_score import BertScore
from tasks.common.metrics.clip_score import ClipScore
from tasks.common.metrics.whisper_normalization import has_error_rates, normalized_error_rates, whisper_normalizer
from tasks.common.task import Task

S = TypeVar("S")


@dataclass(frozen=True)
class AddedMetrics:
    """The metrics that are computed besides those of a task.

    Attributes:
        bert_score: The encoder of BERTScore.
        clip_score: The model of CLIPScore, for tasks that have images.
        normalization: The normalization of transcripts before their errors are counted; none is the task's own.
    """

    bert_score: BertScore | None = None
    clip_score: ClipScore | None = None
    normalization: Normalization = "none"

    @classmethod
    def load(
        cls,
        tasks: Iterable[Task],
        device: torch.device,
        *,
        bert_score: str | None,
        clip_score: str | None,
        normalization: Normalization,
    ) -> "AddedMetrics":
        """Load the models that flags name.

        Args:
            tasks: The tasks that are evaluated.
            device: The device to compute on.
            bert_score: The value of --bert-score.
            clip_score: The value of --clip-score.
            normalization: The value of --normalize.

        Raises:
            UsageError: for a model that can't be loaded or is another one, and for what no task has a use for.
        """
        tasks = list(tasks)
        kinds = ", ".join(dict.fromkeys(kind for task in tasks for kind in task.input_kinds))
        if clip_score is not None and all(task.source_image is None for task in tasks):
            raise UsageError(f"--clip-score compares sentences with images; this run reads {kinds}: leave it out")
        if normalization != "none":
            if not any(has_error_rates(task.metrics) for task in tasks):
                names = ", ".join(dict.fromkeys(metric.name for task in tasks for metric in task.metrics))
                raise UsageError(
                    f"--normalize {normalization} is for word error rates; the metrics of this run are {names}: "
                    "leave it out"
                )
            whisper_normalizer(normalization)  # before a long decoding, if its library is missing
        return cls(
            load_scorer("--bert-score", BertScore, bert_score, device),
            load_scorer("--clip-score", ClipScore, clip_score, device),
            normalization,
        )

    @property
    def suffix(self) -> str:
        """The addition to the name of an evaluation whose scores are others than usual."""
        return "" if self.normalization == "none" else f"-{self.normalization}"

    def extend(self, metrics: Sequence[Metric], task: Task, examples: datasets.Dataset) -> tuple[Metric, ...]:
        """Add to the metrics of a task those that it has a use for.

        Args:
            metrics: The metrics of the task.
            task: The task.
            examples: The examples of the split.

        Raises:
            UsageError: for examples whose images can't be opened.
        """
        extended = tuple(metrics)
        if self.normalization != "none":
            extended = normalized_error_rates(extended, self.normalization)
        if self.bert_score is not None:
            extended += (self.bert_score.metric,)
        if self.clip_score is not None and task.source_image is not None:
            sources = examples["source"]
            try:
                task.source_image(sources[0])
            except ValueError as error:
                raise UsageError(f"--clip-score: {task.describe_source(sources[0])} {error}") from error
            extended += (self.clip_score.metric(sources, task.source_image),)
        return extended


def load_scorer(
    flag: str, scorer: Callable[[str, torch.device], S], name: str | None, device: torch.device
) -> S | None:
    """Load the model that a flag names, if it does. Raises UsageError, naming the flag, if that is not possible."""
    try:
        return None if name is None else scorer(name, device)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error
