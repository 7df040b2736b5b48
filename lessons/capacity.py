"""What a vector of d numbers holds of a text of n words (Cho et al. 2014b): one curve of the bottleneck for each d.

The last states of the encoder, 128 numbers, are projected to d numbers, and those are all that the decoder gets. The
models differ in nothing else.
"""

from attention.config import AttentionConfig
from lessons.figures import heat_map
from lessons.lesson import Result
from lessons.toy_text import small_config
from lessons.translating import name_group, percent_by_length, score, train_translator
from tasks.common.cli.side_by_side import run_side_by_side

SIZES = (4, 8, 16, 32, 64, 128)


def run(tiny: bool) -> Result:
    results = dict(run_side_by_side(score_by_length, list(map(str, SIZES)), tiny))
    grid = [results[str(size)] for size in SIZES]
    lengths = list(map(name_group, grid[0]))
    rows = [
        {"numbers": str(size)}
        | {f"{length} words, %": f"{right:.1f}" for length, right in zip(lengths, scores.values(), strict=True)}
        for size, scores in zip(SIZES, grid, strict=True)
    ]
    values = [list(scores.values()) for scores in grid]
    titles = "words in the source", "numbers in the vector", "words right (%)"
    return Result(rows, heat_map(values, lengths, list(map(str, SIZES)), *titles))


def score_by_length(size: str, tiny: bool) -> dict[int, float]:
    """Train a model, and return the percentage of words that are right by the length of the source, in groups."""
    config = small_config(attention=AttentionConfig(score="none"), projection_dim=int(size))
    task, model = train_translator(config, 60 if tiny else 8_000, range(1, 9), num_epochs=1 if tiny else 5)
    return percent_by_length(score(task, model, task.load("test")))
