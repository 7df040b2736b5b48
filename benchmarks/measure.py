"""Measure one model in a process of its own, so that its memory is its own; throughput.py starts it.

    python benchmarks/measure.py text transformer --data FOLDER

Standard output is one line, a JSON object.
"""

import argparse
import contextlib
import itertools
import json
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import datasets
import torch
from candidates import (
    DROPOUT,
    MODALITIES,
    Work,
    build_task,
    build_trainer,
    count_work,
    load_batches,
    read_clock,
    repeat_epochs,
)
from hardware_limit import measure_cost, measure_peak_flops
from peak_memory import PeakMemory
from peers import BEAM, PEERS, Peer
from torch import Tensor, nn

from decoders.config import SearchConfig
from tasks.common.allocation import keep_freed_memory
from tasks.common.data.batching import Batch, BatchSampler
from tasks.common.device import use_device
from tasks.common.inference.predictor import Predictor
from tasks.common.model import count_parameters
from tasks.common.task import Task
from tasks.common.task_group import ALONE
from tasks.common.training.batches import StepBatches, TrainingBatches
from tasks.common.training.precision import AUTOCAST_DTYPES, autocast


class Candidate(ABC):
    """A model to be measured, with its task, its training examples and their batches."""

    task: Task
    examples: datasets.Dataset
    batches: TrainingBatches
    model: nn.Module
    device: torch.device

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of a batch, of the model or of a copy of it."""

    @abstractmethod
    def train(self, num_warmup_steps: int, num_steps: int) -> Work:
        """Take steps of training, and time all but the first ones."""

    @abstractmethod
    def decode(self, sources: Sequence[Any], length: int) -> list[list[int]]:
        """Search for a sentence of ``length`` tokens for each source, in batches of similar lengths."""


class OurCandidate(Candidate):
    """One of our models, trained by our loop and decoded by our predictor."""

    def __init__(self, modality: str, name: str, data: Path, precision: str, folder: Path):
        self.trainer, self.precision = build_trainer(modality, name, data, folder, precision), precision
        self.batches, self.device = self.trainer.batches, self.trainer.device
        self.task = self.batches.group.parts[ALONE]
        self.examples = self.task.load("train")  # as they are read, while batches are made of token ids
        self.model = self.trainer.model.part(ALONE)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return model(batch).total

    def train(self, num_warmup_steps: int, num_steps: int) -> Work:
        return self.trainer.run_steps(num_warmup_steps, num_steps)

    def decode(self, sources: Sequence[Any], length: int) -> list[list[int]]:
        search = SearchConfig(beam=BEAM, min_length=length, max_length=length, precision=cast(Any, self.precision))
        predictor = Predictor(self.task, [self.trainer.model.part(ALONE).eval()])
        lengths = self.task.source_lengths(sources)
        return [best.tokens for best, *_ in predictor.generate_all(sources, lengths, search)]


class PeerCandidate(Candidate):
    """A model of another toolkit, trained by the shortest loop, and decoded by its own search."""

    def __init__(self, modality: str, name: str, data: Path, precision: str):
        builder = PEERS[modality][name]
        self.task = build_task(modality, builder.model, data)
        self.examples, self.batches = load_batches(self.task)
        self.device, self.precision = self.batches.processes.device, precision
        self.peer = builder.build(len(self.task.tokenizer), DROPOUT).to(self.device)
        self.model = self.peer

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return cast(Peer, model).loss(batch)

    def train(self, num_warmup_steps: int, num_steps: int) -> Work:
        config = self.task.config.train
        peer = self.peer.train()
        optimizer = torch.optim.AdamW(peer.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
        all_steps = repeat_epochs(self.batches)

        def run(num_steps: int) -> list[StepBatches]:
            taken = list[StepBatches]()
            for step in itertools.islice(all_steps, num_steps):
                for batch in step.batches:
                    with autocast(self.precision, self.device):
                        loss = peer.loss(batch.to(self.device))
                    loss.backward()
                nn.utils.clip_grad_norm_(peer.parameters(), config.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
                taken.append(step)
            return taken

        run(num_warmup_steps)
        start = read_clock(self.device)
        return count_work(run(num_steps), read_clock(self.device) - start)

    def decode(self, sources: Sequence[Any], length: int) -> list[list[int]]:
        self.peer.eval()
        results: list[list[int]] = [[] for _ in sources]
        lengths = [(number, 1) for number in self.task.source_lengths(sources)]
        for rows in BatchSampler(lengths, self.task.config.batch, seed=0).by_length():
            source = self.task.batch_sources([sources[row] for row in rows], training=False).to(self.device)
            with autocast(self.precision, self.device):
                generated = self.peer.generate(source, length)
            for row, tokens in zip(rows, generated, strict=True):
                results[row] = tokens
        return results


def build_candidate(modality: str, name: str, data: Path, precision: str, folder: Path) -> Candidate:
    """Build one of our models, with an empty run folder, or a peer, by its name."""
    if name in MODALITIES[modality].configs:
        return OurCandidate(modality, name, data, precision, folder)
    return PeerCandidate(modality, name, data, precision)


def mean_batch(candidate: Candidate) -> Batch:
    """Return a batch without padding: copies of the example whose lengths are nearest to the mean."""
    sampler = candidate.batches.samplers[ALONE]
    lengths = sampler.lengths.float()
    nearest = int(((lengths / lengths.mean(dim=0) - 1) ** 2).sum(dim=1).argmin())
    num_rows = min(sampler.config.max_sources, len(lengths))
    return candidate.task.collate(candidate.examples, [nearest] * num_rows, training=True)


def measure(candidate: Candidate, options: argparse.Namespace) -> dict[str, float]:
    """Measure decoding and training, the limit just before and after it, and the memory of both."""
    device, length = candidate.device, MODALITIES[options.modality].output_length
    dtype = AUTOCAST_DTYPES.get(options.precision, torch.float32)
    sources = candidate.examples[: options.sources]["source"]
    with PeakMemory(device) as loaded:
        candidate.decode(sources[:2], 2)  # the first call is slower
    with PeakMemory(device) as decoding:
        start = read_clock(device)
        outputs = candidate.decode(sources, length)
        decode_s = read_clock(device) - start
    assert all(len(tokens) == length for tokens in outputs), "every output has the same length"

    peak_before = measure_peak_flops(device, dtype)
    with PeakMemory(device) as training:
        work = candidate.train(options.warmup, options.steps)
    peak_flops = (peak_before + measure_peak_flops(device, dtype)) / 2
    cost = measure_cost(candidate.model, candidate.loss, mean_batch(candidate), device, options.precision)
    tokens_per_second = work.num_tokens / work.seconds
    of_products, of_layers = cost.tokens_per_second(peak_flops)
    return {
        "parameters": count_parameters(candidate.model),
        "train_examples_per_second": work.num_examples / work.seconds,
        "train_tokens_per_second": tokens_per_second,
        "train_peak_bytes": training.num_bytes,
        "loaded_bytes": loaded.num_bytes,
        "share_of_products_limit": tokens_per_second / of_products,
        "share_of_recurrent_limit": tokens_per_second / of_layers,
        "decode_sentences_per_second": len(sources) / decode_s,
        "decode_tokens_per_second": len(sources) * length / decode_s,
        "decode_peak_bytes": decoding.num_bytes,
        "flops_per_token": cost.flops / cost.num_tokens,
        "peak_flops": peak_flops,
    }


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description="Measure one model in a process of its own.")
    parser.add_argument("modality", choices=list(MODALITIES))
    parser.add_argument("candidate", help="one of our models of the modality, or a peer's name")
    parser.add_argument("--data", type=Path, required=True, help="folder of training data")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="no", choices=["no", "bf16"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--warmup", type=int, default=3, help="training steps before the clock starts")
    parser.add_argument("--steps", type=int, default=10, help="timed training steps")
    parser.add_argument("--sources", type=int, default=80, help="sources that are decoded")
    return parser


def main() -> None:
    """Run the benchmark from the command line."""
    options = build_parser().parse_args()
    torch.set_num_threads(options.threads)
    use_device(options.device)
    keep_freed_memory()  # as our commands do; for peers as well
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        candidate = build_candidate(options.modality, options.candidate, options.data, options.precision, Path(folder))
        report = measure(candidate, options)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
