"""Cells (Elman 1990; Hochreiter & Schmidhuber 1997; Cho et al. 2014): the gates of LSTM and GRU keep what an RNN loses.

Encoder and decoder are of one kind of cell, with states of 128 numbers. The encoder reads the text once, from left to
right, and the decoder gets its last state alone: what is right in the translation was remembered, or guessed.
"""

from dataclasses import replace
from statistics import fmean

from attention.config import AttentionConfig
from lessons.figures import line_chart
from lessons.lesson import Result
from lessons.toy_text import small_config
from lessons.translating import name_group, percent_by_length, score, train_translator
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.model import count_parameters
from tasks.translation.config import TranslationConfig

CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
SEEDS = (1, 2)
RUNS = {f"{name}, seed {seed}": (cell, seed) for name, cell in CELLS.items() for seed in SEEDS}


def run(tiny: bool) -> Result:
    results = dict(run_side_by_side(score_by_length, list(RUNS), tiny))
    rows = [
        {"cell": name, "parameters": f"{results[name][0]:,}"}
        | {f"{name_group(length)} words, %": f"{right:.1f}" for length, right in results[name][1].items()}
        for name in RUNS
    ]
    points = {}
    for name in CELLS:
        curves = [results[f"{name}, seed {seed}"][1] for seed in SEEDS]
        points[name] = [(length, fmean(curve[length] for curve in curves)) for length in curves[0]]
    return Result(rows, line_chart(points, "words in the source", "words right (%), mean of two seeds"))


def score_by_length(name: str, tiny: bool) -> tuple[int, dict[int, float]]:
    """Train a model; return its parameters, and the percentage of words that are right by the length of the source."""
    cell, seed = RUNS[name]
    num_pairs, num_epochs = (60, 1) if tiny else (10_000, 6)
    task, model = train_translator(cell_config(cell), num_pairs, range(1, 9), num_epochs, seed)
    return count_parameters(model), percent_by_length(score(task, model, task.load("test")))


def cell_config(cell: str) -> TranslationConfig:
    """Return the settings of a translator whose recurrent networks are of one kind, without attention."""
    config = small_config(attention=AttentionConfig(score="none"))
    sequence = replace(config.encoder.sequence, cell=cell, hidden_dim=128, bidirectional=False)
    encoder = replace(config.encoder, sequence=sequence)
    return replace(config, encoder=encoder, decoder=replace(config.decoder, cell=cell))
