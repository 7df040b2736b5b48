"""The Transformer (Vaswani et al. 2017) beside the LSTM with attention: what each gets right, and how long it takes.

Both have about the same number of parameters, and are trained on the same texts with the same number of updates. Texts
of more objects than any in training show what has been learned of positions.
"""

import time
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

from attention.config import AttentionConfig
from lessons.figures import line_charts
from lessons.lesson import Result
from lessons.toy_text import SMALL_BATCHES, ToyLists, small_config, small_transformer
from lessons.training import mean_loss, prepare, train
from lessons.translating import score
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.model import Seq2Seq, count_parameters

if TYPE_CHECKING:
    import datasets

CONFIGS = {
    "LSTM": small_config(attention=AttentionConfig(score="general"), batch=SMALL_BATCHES),
    "Transformer": small_transformer(batch=SMALL_BATCHES),
}
LEARNING_RATES = {"LSTM": 4e-3, "Transformer": 2e-3}  # plain choices, neither was tuned
TRAINED = range(1, 9)  # objects in a text
TESTED = (2, 4, 6, 8, 10, 12, 16)


@dataclass(frozen=True)
class Measurement:
    """What a model does with texts of some length."""

    words: float
    words_right: float  # %
    update_ms: float  # forward and backward, 32 texts
    generation_ms: float  # of one of 64 texts that are generated together


def run(tiny: bool) -> Result:
    results = dict(run_side_by_side(measure_model, list(CONFIGS), tiny))
    parameters = {name: f"{name}, {results[name][0]:,} parameters" for name in CONFIGS}
    rows, charts = [], {}
    titles = {
        "words_right": "words right (%)",
        "update_ms": "update of 32 texts (ms)",
        "generation_ms": "generation of a text (ms)",
    }
    for objects, *each_model in zip(TESTED, *(results[name][1] for name in CONFIGS), strict=False):
        measured = dict(zip(CONFIGS, each_model, strict=True))
        rows.append(
            {"objects": str(objects), "words": f"{measured['LSTM'].words:.0f}"}
            | {f"words right, %: {parameters[name]}": f"{each.words_right:.1f}" for name, each in measured.items()}
            | {f"ms per update: {name}": f"{each.update_ms:.0f}" for name, each in measured.items()}
            | {f"ms per text generated: {name}": f"{each.generation_ms:.1f}" for name, each in measured.items()}
        )
    for attribute, title in titles.items():
        charts[title] = {
            parameters[name]: [(each.words, getattr(each, attribute)) for each in results[name][1]] for name in CONFIGS
        }
    return Result(rows, line_charts([list(charts.items())], "words in the source"))


def measure_model(name: str, tiny: bool) -> tuple[int, list[Measurement]]:
    """Train a model; return its number of parameters, and what it does with texts of each length."""
    task = ToyLists(CONFIGS[name], 200 if tiny else 8000, TRAINED)
    examples, model = prepare(task)
    train(task, model, examples, num_epochs=1 if tiny else 3, lr=LEARNING_RATES[name])
    measurements = []
    for objects in TESTED[:2] if tiny else TESTED:
        test = ToyLists(task.config, 20 if tiny else 1280, range(objects, objects + 1)).load("test")
        started = time.perf_counter()
        scores = score(task, model, test)
        generation_ms = 1000 * (time.perf_counter() - started) / len(test)
        update_ms = time_update(task, model, test)
        lengths, right = zip(*scores, strict=True)
        measurements.append(Measurement(fmean(lengths), 100 * fmean(right), update_ms, generation_ms))
    return count_parameters(model), measurements


def time_update(task: ToyLists, model: Seq2Seq, test: "datasets.Dataset") -> float:
    """Return the milliseconds of the loss and the gradient of 32 texts, the median of five."""
    batch = task.collate(test, list(range(min(32, len(test)))), training=True)
    model.train()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        mean_loss(model, batch).backward()
        times.append(time.perf_counter() - started)
    model.zero_grad()
    model.eval()
    return 1000 * median(times)
