"""Exploding gradients and clipping (Pascanu et al. 2013): a step in the same direction, but never longer than allowed.

A simple recurrent network multiplies the gradient by the same matrix at each word; on long texts, at a high learning
rate, it explodes now and then, and one such step can undo what was learned.
"""

import math
from dataclasses import replace
from statistics import fmean, median

import torch

from decoders.config import RecurrentDecoderConfig
from encoders.config import RecurrentEncoderConfig
from lessons.figures import line_charts
from lessons.lesson import Result
from lessons.toy_text import ToyLists, small_config
from lessons.training import Step, prepare, train, validation_loss
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.text_config import TextEncoderConfig

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], float]] = {  # with the learning rate
    "SGD at 0.1": (torch.optim.SGD, 0.1),
    "SGD at 1": (torch.optim.SGD, 1.0),
    "Adam at 0.004": (torch.optim.Adam, 0.004),
}
CLIPPING = {"clipped to 1": 1.0, "not clipped": math.inf}


def run(tiny: bool) -> Result:
    names = [f"{optimizer}, {clipping}" for optimizer in OPTIMIZERS for clipping in CLIPPING]
    measured = dict(run_side_by_side(measure, names, tiny))
    rows = []
    for name in names:
        (optimizer, clipping), (steps, loss) = name.split(", "), measured[name]
        norms = [step.norm for step in steps]
        row = {"optimizer and rate": optimizer, "gradients": clipping, "median norm": f"{median(norms):.2f}"}
        row["largest norm"] = f"{max(norms):.2f}"
        row["steps with a norm above 1, %"] = f"{100 * fmean(norm > 1 for norm in norms):.0f}"
        rows.append(row | {"loss of test texts, nats per word": f"{loss:.3f}"})
    grid = [
        [
            (
                f"{title}, {optimizer}",
                {clipping: curve(measured[f"{optimizer}, {clipping}"][0], part) for clipping in CLIPPING},
            )
            for optimizer in OPTIMIZERS
        ]
        for title, part in (("norm of gradients", "norm"), ("loss (nats)", "loss"))
    ]
    return Result(rows, line_charts(grid, "training steps", log_y=True))


def curve(steps: list[Step], part: str) -> list[tuple[int, float]]:
    return [(number, getattr(step, part)) for number, step in enumerate(steps, 1)]


def measure(name: str, tiny: bool) -> tuple[list[Step], float]:
    """Train a model of simple recurrent networks; return its steps, and the loss of test texts."""
    optimizer, clipping = name.split(", ")
    kind, lr = OPTIMIZERS[optimizer]
    config = small_config()
    config = replace(
        config,
        encoder=TextEncoderConfig(RecurrentEncoderConfig(cell="rnn", hidden_dim=64, dropout=0.0), embedding_dim=64),
        decoder=RecurrentDecoderConfig(cell="rnn", hidden_dim=128, embedding_dim=64, dropout=0.0),
    )
    task = ToyLists(config, 100 if tiny else 4_000, range(4, 9))
    examples, model = prepare(task)
    num_epochs, max_norm = 1 if tiny else 4, CLIPPING[clipping]
    steps = train(task, model, examples, num_epochs=num_epochs, lr=lr, max_grad_norm=max_norm, optimizer=kind)
    return steps, validation_loss(task, model, task.load("test"))
