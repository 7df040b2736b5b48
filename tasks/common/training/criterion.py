"""The training criterion: a module that computes the loss of a batch."""

import datasets
from torch import nn

from tasks.common.errors import UsageError
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.training.self_critical import SelfCritical


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
