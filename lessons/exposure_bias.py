"""Exposure bias (Ranzato et al. 2016), and what scheduled sampling does against it (Bengio et al. 2015).

In training a decoder reads the true words, in translation its own; a wrong one among them is new to it. How often are
the words after it wrong? They are those of difficult texts, so each is predicted a second time, after the true words:
only the difference is exposure bias.
"""

from collections.abc import Callable
from itertools import count, product
from statistics import fmean
from typing import cast

import torch
from jaxtyping import Int
from torch import Tensor

from attention.config import AttentionConfig
from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import PAD
from lessons.figures import line_chart
from lessons.lesson import Result, mean_and_range
from lessons.toy_text import ToyLists, small_config
from lessons.training import prepare, train
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.data.batching import Batch, BatchSampler
from tasks.common.model import Seq2Seq
from tasks.common.training.config import TrainConfig
from tasks.common.training.schedules import teacher_forcing_probability

SCHEDULES = {
    "teacher forcing": TrainConfig(),
    "scheduled sampling": TrainConfig(scheduled_sampling="linear", sampling_half=400, sampling_floor=0.25),
}
SEEDS = (1, 2)
READ = ("own words", "true words")  # by the decoder, in the test
GROUPS = {"none": (0, 0), "1": (1, 1), "2 to 5": (2, 5), "6 to 10": (6, 10), "11 to 15": (11, 15), "any": (0, 999)}
Rates = dict[str, list[float]]  # the percentage of words of each group that are wrong, by what the decoder reads


def run(tiny: bool) -> Result:
    names = [f"{schedule}, seed {seed}" for seed in SEEDS for schedule in SCHEDULES]
    measured = dict(run_side_by_side(error_rates, names, tiny))
    rows, curves = [{"words since the first wrong one": group} for group in GROUPS], {}
    for schedule, read in product(SCHEDULES, READ):
        seeds = [measured[f"{schedule}, seed {seed}"][read] for seed in SEEDS]
        results = list(zip(*seeds, strict=True))
        for row, rates in zip(rows, results, strict=True):
            row[f"{schedule}, {read} read: wrong, %"] = mean_and_range(rates)
        curves[f"{schedule}, {read} read"] = list(zip(GROUPS, map(fmean, results), strict=True))[:-1]
    figure = line_chart(curves, "words since the first wrong one", "wrong words (%)")
    figure.axes[0].set_ylim(bottom=0)
    return Result(rows, figure)


def error_rates(name: str, tiny: bool) -> Rates:
    """Train a model; return how often words are wrong, by the words since the first wrong one, and of all words."""
    schedule, seed = name.split(", seed ")
    # Texts in which every word has one place, and a fixed context vector, with which the model makes errors.
    config = small_config(attention=AttentionConfig(score="none"))
    task = ToyLists(config, 200 if tiny else 8_000, range(1, 7), sizes=("small", "large"))
    examples, model = prepare(task, int(seed))
    loss_of = scheduled_loss(SCHEDULES[schedule])
    train(task, model, examples, num_epochs=1 if tiny else 5, loss_of=loss_of, seed=int(seed))
    test = task.tokenize(task.load("test"))
    batches = BatchSampler(task.example_lengths(test), config.batch, seed=1).by_length()
    own, true, since = torch.cat([find_errors(model, task.collate(test, rows)) for rows in batches], dim=1)
    groups = [(since >= first) & (since <= last) for first, last in GROUPS.values()]
    return {
        read: [100 * wrong[group].double().mean().item() for group in groups]
        for read, wrong in zip(READ, (own, true), strict=True)
    }


def scheduled_loss(config: TrainConfig) -> Callable[[Seq2Seq, Batch], Tensor]:
    """Return a loss in which the share of true words among the decoder's inputs falls from step to step."""
    steps = count()

    def loss_of(model: Seq2Seq, batch: Batch) -> Tensor:
        share = teacher_forcing_probability(config, next(steps))
        return model(batch, teacher_forcing=share).total / batch.num_target_tokens

    return loss_of


@torch.no_grad()
def find_errors(model: Seq2Seq, batch: Batch) -> Int[Tensor, "3 words"]:
    """Return of each word whether it is wrong after the model's own words, and after the true ones; and its place.

    The place is the number of words since the first wrong one, 0 for this one and for those before it.
    """
    decoder, memory = cast(AutoregressiveDecoder, model.decoder), model.encode(batch)
    inputs, targets = batch.tokens[:, :-1], batch.tokens[:, 1:]
    outputs = decoder.unroll(inputs, memory, teacher_forcing=0.0), decoder(inputs, memory)
    own, true = (decoder.logits(output.features).argmax(dim=-1) != targets for output in outputs)
    is_since = own.cumsum(dim=1) > 0
    since = (is_since.cumsum(dim=1) - 1).clamp(min=0)
    return torch.stack([own.long(), true.long(), since])[:, targets != PAD]
