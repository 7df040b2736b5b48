"""Three advantages that textbooks claim for attention: fewer parameters, faster, better. Each is measured here.

Models with a fixed context vector of four sizes, with attention, and of attention alone are trained with the same
number of updates on the same texts.
"""

import time
from dataclasses import dataclass, replace

from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig
from encoders.config import RecurrentEncoderConfig
from lessons.figures import line_chart
from lessons.lesson import Result
from lessons.toy_text import SMALL_BATCHES, ToyLists, small_config, small_transformer
from lessons.training import prepare, train
from lessons.translating import percent_right
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.model import count_parameters
from tasks.common.text_config import TextEncoderConfig
from tasks.translation.config import TranslationConfig

NO_ATTENTION, GENERAL = AttentionConfig(score="none"), AttentionConfig(score="general")


def lstm(hidden_dim: int, attention: AttentionConfig) -> TranslationConfig:
    """Return the settings of an LSTM whose encoder has two directions of half of ``hidden_dim`` features."""
    config = small_config(attention=attention, batch=SMALL_BATCHES)
    encoder = TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=hidden_dim // 2, dropout=0.1), embedding_dim=64)
    decoder = RecurrentDecoderConfig(hidden_dim=hidden_dim, embedding_dim=64, dropout=0.1)
    return replace(config, encoder=encoder, decoder=decoder)


FIXED = {f"fixed vector of {size}": lstm(size, NO_ATTENTION) for size in (64, 128, 256, 512)}
WITH_ATTENTION = {f"attention, LSTM of {size}": lstm(size, GENERAL) for size in (64, 128)}
ALONE = {"attention alone (Transformer)": small_transformer(batch=SMALL_BATCHES)}
CONFIGS = FIXED | WITH_ATTENTION | ALONE
SHORT, LONG = range(1, 3), range(7, 9)  # objects in a text


@dataclass(frozen=True)
class Measurement:
    """What a model costs, and what it gets right."""

    num_parameters: int
    training_s: float
    generation_ms: float  # of a text of ``LONG``
    right_short: float  # % of the words
    right_long: float


def run(tiny: bool) -> Result:
    names = list(CONFIGS)[::2] if tiny else sorted(CONFIGS, key=lambda name: "512" not in name)  # the slowest first
    results = dict(run_side_by_side(measure, names, tiny))
    rows = [
        {
            "model": name,
            "parameters": f"{results[name].num_parameters:,}",
            "training, s": f"{results[name].training_s:.0f}",
            "ms per long text": f"{results[name].generation_ms:.1f}",
            "words right, %: short texts": f"{results[name].right_short:.1f}",
            "long texts": f"{results[name].right_long:.1f}",
        }
        for name in CONFIGS
        if name in results
    ]
    groups = {"fixed vector": FIXED, "LSTM with attention": WITH_ATTENTION, "Transformer": ALONE}
    curves = {
        group: [(results[name].num_parameters / 1000, results[name].right_long) for name in names if name in results]
        for group, names in groups.items()
    }
    return Result(rows, line_chart(curves, "parameters (thousands)", "words right, long texts (%)", log_x=True))


def measure(name: str, tiny: bool) -> Measurement:
    """Train a model, and translate short and long texts."""
    task = ToyLists(CONFIGS[name], 200 if tiny else 8000, range(SHORT.start, LONG.stop))
    examples, model = prepare(task)
    lr = 2e-3 if name in ALONE else 4e-3
    steps = train(task, model, examples, num_epochs=1 if tiny else 2, lr=lr)
    right = {}
    for objects in (SHORT, LONG):
        test = ToyLists(task.config, 20 if tiny else 1280, objects).load("test")
        started = time.perf_counter()
        right[objects] = percent_right(task, model, test)
        generation_ms = 1000 * (time.perf_counter() - started) / len(test)
    training_s = sum(step.seconds for step in steps)
    return Measurement(count_parameters(model), training_s, generation_ms, right[SHORT], right[LONG])
