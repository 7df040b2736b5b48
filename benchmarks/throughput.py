"""How fast training and decoding are, beside what the machine could do and beside another toolkit.

    python benchmarks/throughput.py --data MULTI30K_FOLDER [--peer joeynmt --peer-python JOEYNMTS_PYTHON]

Two of our configurations run on the same files, English to German:

like-for-like   word level, at most 7,859 words a language, BiLSTM 256, LSTM 512, additive attention, input feeding,
                nothing tied: JoeyNMT's default recurrent model, in batches of 80 sentences
preset          the preset multi30k as it is

The limit is what the multiplications of an unpadded batch of mean length would allow, at the rate at which this
machine multiplies two large matrices in the same minute. Rounds alternate, since machines are shared; medians count.
"""

import argparse
import dataclasses
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

from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.base import SourceBatch
from encoders.config import RecurrentEncoderConfig
from tasks.common.config import AttentionConfig, DecoderConfig
from tasks.common.data.batching import Batch, BatchConfig
from tasks.common.inference.evaluation import Predictor
from tasks.common.model import count_parameters
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.text_task import TextEncoderConfig
from tasks.common.training.trainer import Trainer
from tasks.translation import PRESETS, Config, Task

WARM_UP = 3


def configurations(data: str) -> dict[str, Config]:
    preset = dataclasses.replace(PRESETS["multi30k"](), data=data)
    like = dataclasses.replace(
        preset,
        vocabulary=VocabularyConfig(kind="word", size=7859, min_frequency=1, shared=False, lowercase=True),
        encoder=TextEncoderConfig(RecurrentEncoderConfig(hidden_dim=256, dropout=0.3), embedding_dim=256),
        attention=AttentionConfig(score="additive", hidden_dim=512),
        decoder=RecurrentDecoderConfig(
            hidden_dim=512, embedding_dim=256, input_feeding=True, tie_embeddings=False, dropout=0.3
        ),
        batch=BatchConfig(max_sources=80),
    )
    return {"like-for-like": like, "preset": preset}


def peak_flops() -> float:
    """Floating-point operations a second of a large float32 product: the median of ten."""
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    times = []
    for _ in range(12):
        started = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - started)
    return 2 * 2048**3 / statistics.median(times[2:])


class Ours:
    """One configuration, prepared once and measured in several rounds."""

    def __init__(self, config: Config, folder: Path):
        self.training = Trainer(Task(config), folder, resume=False)
        self.flops = self.flops_a_token()

    def flops_a_token(self) -> float:
        """Operations of forward and backward, for one real target token, in a batch of mean length without padding."""
        training, batches = self.training, self.training.batches
        source, target = (max(1, round(length)) for length in batches.lengths.float().mean(dim=0).tolist())
        words = torch.randint(4, len(training.task.source_tokenizer), (80, source))
        tokens = torch.randint(4, len(training.task.tokenizer), (80, target + 1))
        batch = Batch(SourceBatch(words, torch.ones_like(words, dtype=torch.bool)), tokens, [])
        # The counter does not see into oneDNN's fused LSTM, but into the same products written out.
        with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
            training.model(batch).backward()
        training.optimizer.zero_grad()
        return counter.get_total_flops() / batch.num_target_tokens

    def train(self, steps: int) -> float:
        """Real target tokens a second over ``steps`` updates of the real training loop."""
        progress = self.training.progress
        updates = self.training.updates()
        for _ in range(WARM_UP):
            next(updates)
        before, started = progress.tokens, time.perf_counter()
        for _ in range(steps):
            next(updates)
        return (progress.tokens - before) / (time.perf_counter() - started)

    def decode(self, sentences: int, length: int) -> float:
        """Sentences a second with beam 5; all outputs have one length, so that untrained models do equal work."""
        self.training.model.eval()
        sources = self.training.examples.select(range(sentences))["source"]
        config = SearchConfig(beam=5, min_length=length, max_length=length)
        started = time.perf_counter()
        Predictor(self.training.task, [self.training.model]).generate_all(sources, config)
        return sentences / (time.perf_counter() - started)


def peer(options: argparse.Namespace, like: Ours) -> dict[str, Any]:
    """JoeyNMT on the same files with vocabularies of the same sizes, in a process of its own."""
    script = Path(__file__).with_name(f"{options.peer}_peer.py")
    data = Path(options.data)
    command = [options.peer_python, str(script), "--source", str(data / "train.en"), "--target", str(data / "train.de")]
    command += [
        "--threads",
        str(torch.get_num_threads()),
        "--steps",
        str(options.steps),
        "--length",
        str(options.length),
    ]
    command += ["--decode-sentences", str(options.sentences)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        sys.exit(finished.returncode)
    return json.loads(finished.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with train.en, train.de, val.en, val.de")
    parser.add_argument("--steps", type=int, default=30, help="updates a round")
    parser.add_argument("--sentences", type=int, default=240, help="sentences decoded a round")
    parser.add_argument("--length", type=int, default=12, help="words of each decoded sentence")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peer", choices=["joeynmt"])
    parser.add_argument("--peer-python", default=sys.executable, help="the Python in which the peer is installed")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        ours = {name: Ours(config, Path(folder) / name) for name, config in configurations(options.data).items()}
        for _ in range(options.rounds):
            measured: dict[str, float] = {}
            for name, side in ours.items():
                before = peak_flops()
                trained = side.train(options.steps)
                limit = (before + peak_flops()) / 2 / side.flops
                measured[f"{name}: training tokens/s"] = trained
                measured[f"{name}: share of the limit"] = trained / limit
                measured[f"{name}: decoded sentences/s"] = side.decode(options.sentences, options.length)
            if options.peer:
                other = peer(options, ours["like-for-like"])
                measured[f"{options.peer}: training tokens/s"] = other["train_tokens_per_second"]
                measured[f"{options.peer}: decoded sentences/s"] = other["decode_sentences_per_second"]
                for name in ours:
                    for what in ("training tokens/s", "decoded sentences/s"):
                        ratio = measured[f"{name}: {what}"] / measured[f"{options.peer}: {what}"]
                        measured[f"{name} / {options.peer}: {what}"] = ratio
            rounds.append(measured)
            print(json.dumps(measured), file=sys.stderr)
    print(f"{options.threads} threads, torch {torch.__version__}, medians of {options.rounds} rounds (each round)")
    for name, side in ours.items():
        parameters = count_parameters(side.training.model)
        print(f"{name}: {parameters:,} parameters, {side.flops / 1e6:.1f} million operations a target token")
    for what in rounds[0]:
        values = [measured[what] for measured in rounds]
        print(f"{what:45} {statistics.median(values):10.2f}   ({', '.join(f'{value:.2f}' for value in values)})")


if __name__ == "__main__":
    main()
