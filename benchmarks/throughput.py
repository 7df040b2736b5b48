"""Measure the speed of training and decoding, and compare it with the hardware's limit and with another toolkit.

    python benchmarks/throughput.py --data MULTI30K_FOLDER [--peer joeynmt --peer-python PYTHON_WITH_JOEYNMT]

Two of our configurations are measured on the same files, English to German:

like-for-like   words as tokens, at most 7,859 in each language; a BiLSTM of 256 units and an LSTM of 512, additive
                attention, input feeding, no tied embeddings: JoeyNMT's default recurrent model, in batches of 80
                sentences
preset          the preset multi30k

The limit is the speed that the matrix products of a batch without padding, with sentences of mean length, would allow
at the rate at which this machine multiplies two large matrices in the same minute. The rounds alternate between the
configurations, since other programs may disturb the measurement, and medians are printed.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from attention.config import AttentionConfig
from decoders.base import EOS
from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.base import SourceBatch
from encoders.config import RecurrentEncoderConfig
from tasks.common.data.batching import Batch
from tasks.common.data.config import BatchConfig
from tasks.common.inference.predictor import Predictor
from tasks.common.model import count_parameters
from tasks.common.text.config import VocabularyConfig
from tasks.common.text_config import TextEncoderConfig
from tasks.common.training.batches import StepBatches
from tasks.common.training.trainer import Trainer
from tasks.translation import PRESETS, Config
from tasks.translation.task import Translation as Task

NUM_WARMUP_STEPS = 3
BATCH_SIZE = 80


def build_configs(data: str) -> dict[str, Config]:
    """Return the configurations to measure by name; ``data`` is the folder of Multi30k."""
    preset = dataclasses.replace(PRESETS["multi30k"](), data=data)
    like_for_like = dataclasses.replace(
        preset,
        vocabulary=VocabularyConfig(kind="word", size=7859, min_frequency=1, shared=False, lowercase=True),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=256, dropout=0.3), embedding_dim=256),
        attention=AttentionConfig(score="additive", hidden_dim=512),
        decoder=RecurrentDecoderConfig(
            hidden_dim=512, embedding_dim=256, input_feeding=True, tie_embeddings=False, dropout=0.3
        ),
        batch=BatchConfig(max_sources=BATCH_SIZE),
    )
    return {"like-for-like": like_for_like, "preset": preset}


def measure_peak_flops() -> float:
    """Return the floating-point operations per second of a large float32 product: the median of ten."""
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = []
    for _ in range(12):
        start = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / statistics.median(seconds[2:])


class TimedTrainer(Trainer):
    """A trainer that stops after a number of steps, and neither evaluates nor saves.

    Attributes:
        clock: The time at the end of each step, in seconds, with the target tokens of all steps so far.
    """

    def __init__(self, task: Task, folder: Path):
        super().__init__(task, folder, resume=False)
        self.num_steps = 0
        self.clock: list[tuple[float, int]] = []

    def run_steps(self, num_steps: int) -> list[tuple[float, int]]:
        """Take the next steps of the training loop, and return their clock."""
        self.num_steps, self.clock = num_steps, []
        with contextlib.redirect_stderr(io.StringIO()):  # its progress
            self.run()
        return self.clock

    def check_finite(self, name: str, value: float, step: StepBatches) -> None:  # the end of a step
        super().check_finite(name, value, step)
        self.clock.append((time.perf_counter(), self.progress.num_tokens))

    def should_stop(self) -> bool:
        return len(self.clock) >= self.num_steps

    def evaluate(self) -> None: ...

    def save(self) -> None: ...

    def finish(self) -> None: ...


class Candidate:
    """One of our configurations, prepared once and measured in several rounds.

    Attributes:
        flops: Floating-point operations per target token in training.
    """

    def __init__(self, config: Config, folder: Path):
        self.task = Task(config)
        self.trainer = TimedTrainer(self.task, folder)
        self.flops = self.count_flops()

    def count_flops(self) -> float:
        """Count the operations of the forward and backward pass per target token, in a batch of mean lengths."""
        mean_lengths = self.trainer.batches.samplers[""].lengths.float().mean(dim=0).tolist()
        source_length, target_length = (max(1, round(length)) for length in mean_lengths)
        source = torch.randint(EOS + 1, len(self.task.source_tokenizer), (BATCH_SIZE, source_length))
        tokens = torch.randint(EOS + 1, len(self.task.tokenizer), (BATCH_SIZE, target_length + 1))
        batch = Batch(SourceBatch(source, torch.ones_like(source, dtype=torch.bool)), tokens, [])
        # The products inside oneDNN's fused LSTM are not counted; without oneDNN the same ones are.
        with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
            self.trainer.model(batch).total.backward()
        self.trainer.optimizer.zero_grad()
        return counter.get_total_flops() / batch.num_target_tokens

    def measure_training(self, num_steps: int) -> float:
        """Return the target tokens per second, without padding, over ``num_steps`` steps of the training loop."""
        clock = self.trainer.run_steps(NUM_WARMUP_STEPS + num_steps)
        (start, tokens_before), (end, tokens_after) = clock[NUM_WARMUP_STEPS - 1], clock[-1]
        return (tokens_after - tokens_before) / (end - start)

    def measure_decoding(self, num_sentences: int, output_length: int) -> float:
        """Return the sentences per second with beam 5; every output has the same length.

        Otherwise an untrained model's lengths, and with them the amount of work, would be arbitrary.
        """
        self.trainer.model.eval()
        sources = self.trainer.batches.examples[""].select(range(num_sentences))["source"]
        search = SearchConfig(beam=5, min_length=output_length, max_length=output_length)
        start = time.perf_counter()
        lengths = self.task.source_lengths(sources)
        Predictor(self.task, [self.trainer.model]).generate_all(sources, lengths, search)
        return num_sentences / (time.perf_counter() - start)


def measure_peer(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the other toolkit on the same files, with vocabularies of the same sizes, in a process of its own."""
    data = Path(options.data)
    arguments: dict[str, object] = {
        "--source": data / "train.en",
        "--target": data / "train.de",
        "--threads": torch.get_num_threads(),
        "--steps": options.steps,
        "--sentences": options.sentences,
        "--length": options.length,
    }
    script = Path(__file__).with_name(f"{options.peer}_peer.py")
    command = [options.peer_python, str(script), *(str(part) for pair in arguments.items() for part in pair)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        sys.exit(finished.returncode)
    return json.loads(finished.stdout)


def measure_round(candidates: dict[str, Candidate], options: argparse.Namespace) -> dict[str, float]:
    """Measure every configuration and, if there is one, the peer once."""
    measured: dict[str, float] = {}
    for name, candidate in candidates.items():
        peak_before = measure_peak_flops()
        tokens_per_second = candidate.measure_training(options.steps)
        limit = (peak_before + measure_peak_flops()) / 2 / candidate.flops
        measured[f"{name}: training tokens/s"] = tokens_per_second
        measured[f"{name}: share of the limit"] = tokens_per_second / limit
        measured[f"{name}: decoded sentences/s"] = candidate.measure_decoding(options.sentences, options.length)
    if options.peer:
        report = measure_peer(options)
        measured[f"{options.peer}: training tokens/s"] = report["train_tokens_per_second"]
        measured[f"{options.peer}: decoded sentences/s"] = report["decode_sentences_per_second"]
        for name in candidates:
            for quantity in ("training tokens/s", "decoded sentences/s"):
                ratio = measured[f"{name}: {quantity}"] / measured[f"{options.peer}: {quantity}"]
                measured[f"{name} / {options.peer}: {quantity}"] = ratio
    return measured


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train.en, train.de, val.en, val.de")
    parser.add_argument("--steps", type=int, default=30, help="training steps in a round")
    parser.add_argument("--sentences", type=int, default=240, help="sentences decoded in a round")
    parser.add_argument("--length", type=int, default=12, help="tokens of each decoded sentence")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peer", choices=["joeynmt"])
    parser.add_argument("--peer-python", default=sys.executable, help="Python interpreter with the peer installed")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        configs = build_configs(options.data)
        candidates = {name: Candidate(config, Path(folder) / name) for name, config in configs.items()}
        for _ in range(options.rounds):
            rounds.append(measure_round(candidates, options))
            print(json.dumps(rounds[-1]), file=sys.stderr)
    print(f"{options.threads} threads, torch {torch.__version__}, medians of {options.rounds} rounds (each round)")
    for name, candidate in candidates.items():
        num_parameters = count_parameters(candidate.trainer.model)
        print(f"{name}: {num_parameters:,} parameters, {candidate.flops / 1e6:.1f} million operations per target token")
    for quantity in rounds[0]:
        values = [measured[quantity] for measured in rounds]
        print(f"{quantity:45} {statistics.median(values):10.2f}   ({', '.join(f'{value:.2f}' for value in values)})")


if __name__ == "__main__":
    main()
