"""The bottleneck (Cho et al. 2014b; Bahdanau et al. 2015): a vector of fixed size has to hold a text of any length.

Two models that differ in nothing else translate texts of 3 to 32 words: one sees the encoder's last states alone, the
other attends to all of them. The longer the text, the less of it the first one gets right.
"""

from attention.config import AttentionConfig
from lessons.figures import line_chart
from lessons.lesson import Result
from lessons.toy_text import small_config
from lessons.translating import name_group, percent_by_length, score, train_translator
from tasks.common.cli.side_by_side import run_side_by_side

ATTENTION = {
    "fixed context vector": AttentionConfig(score="none"),
    "attention": AttentionConfig(score="additive", hidden_dim=128),
}


def run(tiny: bool) -> Result:
    curves = dict(run_side_by_side(score_by_length, list(ATTENTION), tiny))
    rows = [
        {"words": name_group(length)}
        | {f"words right with {name}, %": f"{curves[name][length]:.1f}" for name in ATTENTION}
        for length in curves["attention"]
    ]
    points = {name: list(curves[name].items()) for name in ATTENTION}
    return Result(rows, line_chart(points, "words in the source", "words right (%)"))


def score_by_length(name: str, tiny: bool) -> dict[int, float]:
    """Train a model, and return the percentage of words that are right by the length of the source, in groups."""
    config = small_config(attention=ATTENTION[name])
    task, model = train_translator(config, 200 if tiny else 10_000, range(1, 9), num_epochs=1 if tiny else 6)
    return percent_by_length(score(task, model, task.load("test")))
