"""Learning rate and batch size: the loss after the same number of examples, on a grid of both.

Large batches make fewer updates, of gradients with less noise; they need a higher learning rate to get as far.
"""

from itertools import product
from statistics import fmean

from lessons.figures import line_chart
from lessons.lesson import Result
from lessons.toy_text import ToyLists, small_config
from lessons.training import build_model, train, validation_loss
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.data.config import BatchConfig

LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
BATCH_SIZES = (16, 64, 256)
SEEDS = (1, 2)
Cell = tuple[int, float]  # the number of updates, and the loss


def run(tiny: bool) -> Result:
    names = [f"{size} texts, rate {rate:g}" for size, rate in product(BATCH_SIZES, LEARNING_RATES)]
    measured = dict(run_side_by_side(measure, names, tiny))
    rows, curves = [], {}
    for size in BATCH_SIZES:
        cells = [measured[f"{size} texts, rate {rate:g}"] for rate in LEARNING_RATES]
        losses = [fmean(loss for _, loss in cell) for cell in cells]
        row = {"texts in a batch": str(size), "updates": str(cells[0][0][0])}
        rows.append(
            row | {f"loss at {rate:g}": f"{loss:.3f}" for rate, loss in zip(LEARNING_RATES, losses, strict=True)}
        )
        curves[f"{size} texts in a batch"] = list(zip(LEARNING_RATES, losses, strict=True))
    figure = line_chart(curves, "learning rate", "loss of test texts (nats per word)", log_x=True)
    return Result(rows, figure)


def measure(name: str, tiny: bool) -> list[Cell]:
    """Train a model for each seed on the same number of examples, and return the updates and the loss of each."""
    size, rate = name.split(" texts, rate ")
    config = small_config(batch=BatchConfig(max_sources=int(size), max_source_size=2**16, max_target_size=2**16))
    task = ToyLists(config, 20 if tiny else 3_000, range(1, 5))
    examples, test = task.load("train"), task.load("test")
    task.fit(examples)
    cells = []
    for seed in SEEDS:
        model = build_model(task, seed)
        steps = train(task, model, examples, num_epochs=1 if tiny else 2, lr=float(rate), seed=seed)
        cells.append((len(steps), validation_loss(task, model, test)))
    return cells
