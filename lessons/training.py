"""The training loop of the lessons: what ``tasks.common.training.trainer`` does, in its shortest form."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tasks.common.data.batching import Batch, BatchSampler
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.training.initialization import init_weights

if TYPE_CHECKING:
    import datasets


@dataclass(frozen=True)
class Step:
    """A step of training.

    Attributes:
        loss: The loss of its batch in nats per target token.
        norm: The norm of its gradients.
        seconds: The time that it took, from the texts to the new weights.
    """

    loss: float
    norm: float
    seconds: float


def build_model(task: Task[Any], seed: int = 1) -> Seq2Seq:
    """Build the model of a task that has been fitted to its data, with Xavier's initial values."""
    torch.manual_seed(seed)
    model = task.build_model()
    init_weights(model, "xavier")
    return model


def prepare(task: Task[Any], seed: int = 1) -> tuple["datasets.Dataset", Seq2Seq]:
    """Load the training examples of a task, fit it to them, and build its model; return examples and model."""
    examples = task.load("train")
    task.fit(examples)
    return examples, build_model(task, seed)


def mean_loss(model: Seq2Seq, batch: Batch) -> torch.Tensor:
    """Return the cross-entropy of a batch in nats per target token; padding counts nothing."""
    return model(batch).total / batch.num_target_tokens


def train(
    task: Task[Any],
    model: Seq2Seq,
    examples: "datasets.Dataset",
    *,
    num_epochs: int,
    lr: float = 4e-3,
    num_warmup_steps: int = 1,
    max_grad_norm: float = 1.0,
    loss_of: Callable[[Seq2Seq, Batch], torch.Tensor] = mean_loss,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    sampler: type[BatchSampler] = BatchSampler,
    seed: int = 1,
) -> list[Step]:
    """Train a model at a learning rate that rises, and then falls to zero in a straight line.

    Args:
        task: The task, fitted to the examples.
        model: Its model.
        examples: The examples to train on.
        num_epochs: The number of times that each of them is used.
        lr: The highest learning rate.
        num_warmup_steps: The steps in which the learning rate rises to it.
        max_grad_norm: The norm that gradients are clipped to.
        loss_of: Computes the loss of a batch.
        optimizer: Takes the steps; with the defaults of its class but for the learning rate.
        sampler: Divides the examples into batches.
        seed: The seed of the order of the batches, and of dropout.

    Returns:
        Its steps.
    """
    torch.manual_seed(seed)
    tokens = task.tokenize(examples)
    epochs = sampler(task.example_lengths(tokens), task.config.batch, seed).epoch
    batches = [rows for number in range(num_epochs) for rows in epochs(number)]
    updates = optimizer(model.parameters(), lr=lr)  # pyright: ignore[reportCallIssue]
    rise, fall = num_warmup_steps, len(batches) - num_warmup_steps
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        updates, lambda step: min((step + 1) / rise, (len(batches) - step) / (fall + 1))
    )
    steps = []
    model.train()
    for rows in batches:
        started = time.perf_counter()
        batch = task.collate(tokens, rows, training=True)
        loss = loss_of(model, batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        updates.step()
        scheduler.step()
        updates.zero_grad()
        steps.append(Step(loss.item(), norm.item(), time.perf_counter() - started))
    model.eval()
    return steps


@torch.no_grad()
def validation_loss(task: Task[Any], model: Seq2Seq, examples: "datasets.Dataset") -> float:
    """Return the cross-entropy of examples that were not trained on, in nats per target token."""
    tokens = task.tokenize(examples)
    total, count = 0.0, 0
    for rows in BatchSampler(task.example_lengths(tokens), task.config.batch, seed=0).by_length():
        batch = task.collate(tokens, rows)
        total += model(batch).nll.item()
        count += batch.num_target_tokens
    return total / count
