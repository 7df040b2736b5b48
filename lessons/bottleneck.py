"""The bottleneck (Cho et al. 2014b; Bahdanau et al. 2015): a vector of fixed size has to hold a text of any length.

Two models that differ in nothing else translate texts of 4 to 32 words: one sees the encoder's last states alone, the
other attends to all of them. The longer the text, the less of it the first one gets right.
"""

from statistics import fmean

from attention.config import AttentionConfig
from lessons.figures import line_chart
from lessons.lesson import Result
from lessons.toy_text import ToyLists, small_config
from lessons.training import build_model, train
from lessons.translating import score
from tasks.common.cli.side_by_side import run_side_by_side

ATTENTION = {
    "fixed context vector": AttentionConfig(score="none"),
    "attention": AttentionConfig(score="additive", hidden_dim=128),
}
WORDS_PER_GROUP = 4


def run(tiny: bool) -> Result:
    curves = dict(run_side_by_side(score_by_length, list(ATTENTION), tiny))
    rows = [
        {"words": f"{length - WORDS_PER_GROUP + 1}-{length}"}
        | {f"words right with {name}, %": f"{curves[name][length]:.1f}" for name in ATTENTION}
        for length in curves["attention"]
    ]
    points = {name: list(curves[name].items()) for name in ATTENTION}
    return Result(rows, line_chart(points, "words in the source", "words right (%)"))


def score_by_length(name: str, tiny: bool) -> dict[int, float]:
    """Train a model, and return the percentage of words that are right by the length of the source, in groups."""
    task = ToyLists(small_config(attention=ATTENTION[name]), 200 if tiny else 10_000, range(1, 9))
    examples = task.load("train")
    task.fit(examples)
    model = build_model(task)
    train(task, model, examples, num_epochs=1 if tiny else 6)
    groups: dict[int, list[float]] = {}
    for length, right in score(task, model, task.load("test")):
        groups.setdefault(-(-length // WORDS_PER_GROUP) * WORDS_PER_GROUP, []).append(100 * right)
    return {length: fmean(groups[length]) for length in sorted(groups)}
