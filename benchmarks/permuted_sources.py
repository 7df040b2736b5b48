"""Measure what a trained model uses of its source: the likelihood of the references with the sources of others.

    python benchmarks/permuted_sources.py image_captioning RUN [--split validation]

Three numbers, each the negative log-likelihood of a reference token in nats:

* with the example's own source;
* with the states of another source: attention sees the wrong one, but the decoder starts from the right summary;
* with all of another source.

The differences say what attention is worth, and what the source is worth. Examples are sorted by length, and each gets
the source of the next one in its batch, so that lengths are alike.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import datasets
import torch

from attention.memory import Memory
from tasks.common.data.batching import BatchSampler
from tasks.common.inference.loading import load_runs
from tasks.common.inference.predictor import Predictor


def swap_all(memory: Memory) -> Memory:
    """Give each row the memory of the next one."""
    return memory.select(torch.arange(len(memory.mask), device=memory.mask.device).roll(-1))


def swap_states(memory: Memory) -> Memory:
    """Give each row the memory of the next one, except for the summary."""
    return replace(swap_all(memory), summary=memory.summary)


@torch.inference_mode()
def permuted_likelihoods(predictor: Predictor, examples: datasets.Dataset) -> dict[str, float]:
    """Compute the negative log-likelihood of a reference token in nats, with each example's source and with others."""
    task, model = predictor.task, predictor.models[0].eval()
    totals = {"own source": 0.0, "states of another": 0.0, "all of another": 0.0}
    num_tokens = 0
    lengths, num_targets = task.example_lengths(examples), task.num_targets(examples)
    for rows in BatchSampler(lengths, task.config.batch, seed=0, num_targets=num_targets).by_length():
        if len(rows) == 1:  # there is no other source
            continue
        batch = task.collate(examples, rows).to(predictor.device)
        memory = model.encoder(batch.source)
        num_tokens += batch.num_target_tokens
        for name, change in zip(totals, (lambda own: own, swap_states, swap_all), strict=True):
            changed = change(memory)
            changed = changed if batch.source_index is None else changed.select(batch.source_index)
            totals[name] += float(model.decoder.loss(batch.tokens, changed).nll)
    return {name: total / num_tokens for name, total in totals.items()}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="Measure what a model uses of its source.")
    parser.add_argument("task")
    parser.add_argument("run", type=Path)
    parser.add_argument("--split", default="validation")
    options = parser.parse_args()
    predictor = load_runs(options.task, [options.run])
    examples = predictor.precompute_if_frozen(predictor.task.load(options.split))
    for name, nll in permuted_likelihoods(predictor, examples).items():
        print(f"{name:18} {nll:.3f} nats a token")


if __name__ == "__main__":
    main()
