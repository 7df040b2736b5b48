"""The order of reading (Sutskever et al. 2014): reading backward leaves a better vector, and so does reading both ways.

Three encoders differ in the order in which they read the text: from left to right, from right to left, and both ways
with half the size each. The decoder gets their last states alone. Counted is how often the first object of a list is
right, the second, and so on.
"""

from dataclasses import replace
from statistics import fmean

from attention.config import AttentionConfig
from lessons.figures import line_chart
from lessons.lesson import Result
from lessons.toy_text import ToyLists, small_config
from lessons.translating import generate, train_translator
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.translation.config import TranslationConfig

ORDERS = {"left to right": (False, False), "right to left": (False, True), "both ways": (True, False)}
NUM_OBJECTS = 8


def run(tiny: bool) -> Result:
    results = dict(run_side_by_side(score_by_place, list(ORDERS), tiny))
    rows = [
        {"object": f"{place + 1}"} | {f"right, read {name}, %": f"{results[name][place]:.1f}" for name in ORDERS}
        for place in range(NUM_OBJECTS)
    ]
    points = {name: list(enumerate(results[name], start=1)) for name in ORDERS}
    return Result(rows, line_chart(points, "place of the object in the list", "objects right (%)"))


def order_config(bidirectional: bool, reverse: bool) -> TranslationConfig:
    """Return the settings of a translator without attention; its encoder reads in an order, to 128 numbers."""
    config = small_config(attention=AttentionConfig(score="none"))
    hidden_dim = 64 if bidirectional else 128
    sequence = replace(config.encoder.sequence, hidden_dim=hidden_dim, bidirectional=bidirectional)
    return replace(config, encoder=replace(config.encoder, sequence=sequence, reverse=reverse))


def score_by_place(name: str, tiny: bool) -> list[float]:
    """Train a model, and return the percentage of objects that are right at each place of lists of 8."""
    config, num_pairs = order_config(*ORDERS[name]), 60 if tiny else 10_000
    task, model = train_translator(config, num_pairs, range(1, NUM_OBJECTS + 1), num_epochs=1 if tiny else 6)
    examples = ToyLists(config, num_pairs, range(NUM_OBJECTS, NUM_OBJECTS + 1)).load("test")
    return percent_by_place(generate(task, model, examples["source"][:]), examples["target"][:])


def percent_by_place(hypotheses: list[str], targets: list[str]) -> list[float]:
    """Return the percentage of hypotheses whose n-th object is right, for each n; all targets have as many objects."""
    found = [hypothesis.split(", ") for hypothesis in hypotheses]
    expected = [target.split(", ") for target in targets]
    return [
        100 * fmean(objects[place : place + 1] == [true[place]] for objects, true in zip(found, expected, strict=True))
        for place in range(len(expected[0]))
    ]
