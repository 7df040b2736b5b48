"""The score functions (Luong et al. 2015, Bahdanau et al. 2015, Vaswani et al. 2017), compared fairly.

All models differ in the score alone, and get the same texts in the same order, the same number of updates and the same
learning rate. Training is cut short, where differences still show; each score is trained from several seeds.
"""

from dataclasses import dataclass
from statistics import fmean, median
from typing import cast

from attention.config import AttentionConfig, ScoreName
from lessons.figures import line_chart, smooth
from lessons.lesson import Result
from lessons.toy_text import SMALL_BATCHES, ToyLists, small_config
from lessons.training import prepare, train
from lessons.translating import percent_right
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.model import count_parameters

SCORES: tuple[ScoreName, ...] = ("dot", "scaled_dot", "cosine", "general", "concat", "additive")
SEEDS = (1, 2, 3)
NUM_POINTS = 20  # of each curve, the means of as many equal parts of the training


@dataclass(frozen=True)
class Measurement:
    """What one training gave."""

    num_parameters: int  # of the attention
    step_ms: float
    losses: list[float]
    words_right: float  # %


def run(tiny: bool) -> Result:
    scores, seeds = (SCORES[::3], SEEDS[:1]) if tiny else (SCORES, SEEDS)
    results = dict(run_side_by_side(measure, [f"{name} {seed}" for seed in seeds for name in scores], tiny))
    rows, curves = [], {}
    for name in scores:
        runs = [result for label, result in results.items() if label.split()[0] == name]
        right = [each.words_right for each in runs]
        rows.append(
            {
                "score": name,
                "parameters of the attention": f"{runs[0].num_parameters:,}",
                "ms per update": f"{median(each.step_ms for each in runs):.0f}",
                "words right, %": f"{fmean(right):.1f}",
                "worst and best seed, %": f"{min(right):.1f} to {max(right):.1f}",
            }
        )
        means = [fmean(losses) for losses in zip(*(each.losses for each in runs), strict=True)]
        curves[name] = smooth(means, NUM_POINTS)
    return Result(rows, line_chart(curves, "updates", "training loss (nats per token)"))


def measure(label: str, tiny: bool) -> Measurement:
    """Train a model with the score and the seed of a label."""
    name, seed = label.split()
    attention = AttentionConfig(score=cast(ScoreName, name), hidden_dim=128)
    config = small_config(attention=attention, batch=SMALL_BATCHES)
    task = ToyLists(config, 200 if tiny else 6400, range(1, 6))
    examples, model = prepare(task, int(seed))
    steps = train(task, model, examples, num_epochs=1, seed=int(seed))
    test = task.load("test").select(range(20 if tiny else 500))
    return Measurement(
        count_parameters(model.decoder.get_submodule("attention")),
        1000 * median(step.seconds for step in steps),
        [step.loss for step in steps],
        percent_right(task, model, test),
    )
