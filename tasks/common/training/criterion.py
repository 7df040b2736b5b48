"""The training criterion: a module that computes the loss of a batch."""

from collections.abc import Mapping
from typing import Any

import datasets
from torch import nn

from decoders.base import Loss
from tasks.common.data.batching import Batch
from tasks.common.errors import UsageError
from tasks.common.model import Model, Seq2Seq
from tasks.common.task import Task
from tasks.common.task_group import TaskGroup
from tasks.common.training.self_critical import SelfCritical


class Criterion(nn.Module):
    """The criterion of each part of the training, whose models may have modules in common."""

    def __init__(self, group: TaskGroup, model: Model, examples: Mapping[str, datasets.Dataset]):
        """Build the criterion of ``train.objective`` for each part of a model.

        Raises:
            UsageError: if the model cannot be trained by this criterion.
        """
        super().__init__()
        self.names = list(group.parts)
        self.criteria = nn.ModuleList(
            build_criterion(part, model.part(name), examples[name]) for name, part in group.parts.items()
        )

    def forward(self, part: str, batch: Batch, **options: Any) -> Loss:
        """Compute the loss of a batch of a part, summed over its target tokens; see ``Seq2Seq.forward``."""
        return self.criteria[self.names.index(part)](batch, **options)


def build_criterion(task: Task, model: Seq2Seq, examples: datasets.Dataset) -> nn.Module:
    """Build the criterion of ``train.objective``: the likelihood, which is the model itself, or self-critical training.

    Raises:
        UsageError: if the model cannot be trained by this criterion.
    """
    config = task.config
    if config.train.objective == "likelihood":
        return model
    try:
        references = examples["references"]
        return SelfCritical(model, task.tokenizer, references, config.search, config.train.scst_samples)
    except ValueError as error:
        raise UsageError(str(error)) from error
