"""Padding and its masks: texts of a batch are filled up to one length, and what fills them must count nothing.

Each mask is left out in turn: that of the loss, so that padding is predicted too, and that of the source, so that the
encoder and the attention take it for words.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional

from decoders.autoregressive import AutoregressiveDecoder
from encoders.base import SourceBatch
from lessons.figures import line_chart, smooth
from lessons.lesson import Result
from lessons.toy_text import ToyLists, small_config
from lessons.training import mean_loss, prepare, train, validation_loss
from lessons.translating import GREEDY, words_right
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.data.batching import Batch, BatchSampler
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Seq2Seq

if TYPE_CHECKING:
    import datasets


class RandomBatches(BatchSampler):
    """Batches of texts of any lengths: those of a pool are sorted by length, and here each pool is one batch."""

    BATCHES_PER_POOL = 1


class UnmaskedLists(ToyLists):
    """Lists whose padding the encoder and the attention cannot tell from words."""

    def batch_sources(self, sources: Sequence[Any], training: bool) -> SourceBatch:
        batch = super().batch_sources(sources, training)
        return replace(batch, mask=torch.ones_like(batch.mask))


def loss_with_padding(model: Seq2Seq, batch: Batch) -> torch.Tensor:
    """Return the cross-entropy of a batch in nats per position, padding included."""
    decoder = cast(AutoregressiveDecoder, model.decoder)
    logits = decoder.logits(decoder(batch.tokens[:, :-1], model.encode(batch)).features)
    return functional.cross_entropy(logits.flatten(0, 1), batch.tokens[:, 1:].flatten())


VARIANTS = {
    "all masks, similar lengths": (ToyLists, mean_loss, BatchSampler),
    "all masks": (ToyLists, mean_loss, RandomBatches),
    "no mask of the loss": (ToyLists, loss_with_padding, RandomBatches),
    "no mask of the source": (UnmaskedLists, mean_loss, RandomBatches),
}


def run(tiny: bool) -> Result:
    measured = dict(run_side_by_side(measure, list(VARIANTS), tiny))
    rows = [{"training": variant} | measured[variant][0] for variant in VARIANTS]
    curves = {variant: measured[variant][1] for variant in VARIANTS}
    return Result(rows, line_chart(curves, "training steps", "loss that training reports (nats)"))


def measure(variant: str, tiny: bool) -> tuple[dict[str, str], list[tuple[int, float]]]:
    """Train a model; return the cells of its row, and the losses that its training reports."""
    lists, loss_of, sampler = VARIANTS[variant]
    task = lists(small_config(), 100 if tiny else 4_000, range(1, 3) if tiny else range(1, 8))
    examples, model = prepare(task)
    test = task.load("test")
    steps = train(task, model, examples, num_epochs=1 if tiny else 5, loss_of=loss_of, sampler=sampler)
    losses = [step.loss for step in steps]
    return {
        "padding in the targets, %": f"{100 * padding_share(task, examples, sampler):.1f}",
        "reported loss at the end, nats": f"{fmean(losses[-20:]):.3f}",
        "loss of test texts, nats per word": f"{validation_loss(task, model, test):.3f}",
        "words right, batches of similar lengths, %": f"{right_in_batches(task, model, test, BatchSampler):.1f}",
        "words right, batches of any lengths, %": f"{right_in_batches(task, model, test, RandomBatches):.1f}",
    }, smooth(losses)


def padding_share(task: ToyLists, examples: "datasets.Dataset", sampler: type[BatchSampler]) -> float:
    """Return the share of the target positions of an epoch, 0 to 1, that are padding."""
    lengths = task.example_lengths(examples)
    batches = [lengths[rows, 1] for rows in sampler(lengths, task.config.batch, seed=1).epoch(0)]
    return 1 - lengths[:, 1].sum() / sum(len(batch) * batch.max() for batch in batches)


def right_in_batches(task: ToyLists, model: Seq2Seq, test: "datasets.Dataset", sampler: type[BatchSampler]) -> float:
    """Translate texts in batches, and return the percentage of words that are right."""
    right = []
    for rows in sampler(task.example_lengths(test), task.config.batch, seed=1).epoch(0):
        columns = test[rows]
        ranked = Predictor(task, [model]).generate(columns["source"], GREEDY)
        right += map(words_right, (task.detokenize(best.tokens) for best, *_ in ranked), columns["target"])
    return 100 * fmean(right)
