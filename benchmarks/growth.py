"""Measure how time and memory of a model of text grow with the sizes of its input, and fit the exponents.

    python benchmarks/growth.py [--plot docs/growth.png] [--json FILE]

A bidirectional LSTM and an LSTM decoder with additive or dot attention, on random tokens. One size varies at a time,
and the others stay at those of ``BASE``. A step of training is a forward and backward pass and an update; with the beam
the search for a sentence of the target's length for each source takes its place. The exponent is the slope of the last
points of the curve in logarithms: 0 where a size does not matter yet, 1 for linear growth, 2 for quadratic.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from candidates import read_clock
from live_bytes import measure_peak_bytes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator
from torch import nn

from attention.config import AttentionConfig
from decoders.base import EOS
from decoders.build import build_decoder
from decoders.config import RecurrentDecoderConfig, SearchConfig
from encoders.base import SourceBatch
from encoders.build import build_sequence_encoder
from encoders.config import RecurrentEncoderConfig
from encoders.text import TextEncoder, TokenEmbedding
from tasks.common.analysis.plots.figure import save_figure
from tasks.common.console import console
from tasks.common.data.batching import Batch
from tasks.common.model import Seq2Seq

ATTENTIONS = {
    "additive": AttentionConfig(score="additive", hidden_dim=512),
    "dot": AttentionConfig(score="dot"),
}
NUM_FITTED = 3  # last points of a curve


@dataclass(frozen=True)
class Sizes:
    """Sizes of a batch, in tokens and sentences, of the vocabulary and of the beam."""

    source: int = 16
    target: int = 16
    batch: int = 16
    vocabulary: int = 8000
    beam: int = 5


BASE = Sizes()
CURVES: dict[str, list[int]] = {
    "source": [8, 16, 32, 64, 128, 256, 512],
    "target": [8, 16, 32, 64, 128, 256],
    "batch": [1, 2, 4, 8, 16, 32, 64, 128],
    "vocabulary": [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000],
    "beam": [1, 2, 4, 8, 16, 32, 64],
}
UNITS = {
    "source": "source tokens",
    "target": "target tokens",
    "batch": "sentences in a batch",
    "vocabulary": "entries of the vocabularies",
    "beam": "hypotheses of the beam",
}


@dataclass(frozen=True)
class Curve:
    """A size's values, and the seconds and bytes of a step at each of them."""

    values: list[int]
    seconds: list[float]
    num_bytes: list[int]

    @property
    def exponents(self) -> tuple[float, float]:
        """Return the exponents of time and of memory."""
        return slope(self.values, self.seconds), slope(self.values, self.num_bytes)


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Fit the slope of the last points in logarithms, by least squares."""
    log_x, log_y = ([math.log(value) for value in values[-NUM_FITTED:]] for values in (x, y))
    return statistics.linear_regression(log_x, log_y).slope


def build_model(attention: AttentionConfig, vocab_size: int) -> Seq2Seq:
    """Build the model, of 256 features in each direction of the encoder and 512 in the decoder."""
    encoder = TextEncoder(
        TokenEmbedding(nn.Embedding(vocab_size, 256)),
        build_sequence_encoder(256, RecurrentEncoderConfig(hidden_dim=256, dropout=0.0)),
    )
    decoder = RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=0.0)
    return Seq2Seq(encoder, build_decoder(decoder, attention, vocab_size=vocab_size, memory_dim=encoder.dim))


def build_step(
    attention: AttentionConfig, sizes: Sizes, *, searches: bool, device: torch.device
) -> Callable[[], object]:
    """Return a function that takes a step of training, or searches for the sentences of a batch."""
    model = build_model(attention, sizes.vocabulary).to(device)
    values = torch.randint(EOS + 1, sizes.vocabulary, (sizes.batch, sizes.source))
    source = SourceBatch(values, torch.ones_like(values, dtype=torch.bool))
    tokens = torch.randint(EOS + 1, sizes.vocabulary, (sizes.batch, sizes.target + 1))
    batch = Batch(source, tokens, list(range(sizes.batch))).to(device)
    search = SearchConfig(beam=sizes.beam, min_length=sizes.target, max_length=sizes.target)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    @torch.inference_mode()
    def decode() -> None:
        model.decoder.search(model.encode(batch), search, None)

    def train() -> None:
        model(batch).total.backward()
        optimizer.step()
        optimizer.zero_grad()

    if searches:
        model.eval()
        return decode
    return train


def measure_curve(
    attention: AttentionConfig, size: str, values: Sequence[int], trials: int, device: torch.device
) -> Curve:
    """Measure a step at each value of a size: the median of the seconds of some trials, and the peak of memory."""
    seconds: list[float] = []
    num_bytes: list[int] = []
    for value in values:
        step = build_step(attention, replace(BASE, **{size: value}), searches=size == "beam", device=device)
        step()  # the first one is slower, and makes the state of the optimizer
        num_bytes.append(measure_peak_bytes(step, device))
        timed: list[float] = []
        for _ in range(trials):
            start = read_clock(device)
            step()
            timed.append(read_clock(device) - start)
        seconds.append(statistics.median(timed))
    return Curve(list(values), seconds, num_bytes)


def to_table(curves: dict[str, dict[str, Curve]]) -> str:
    """Return the exponents, and the figures at the largest value, as a table in Markdown."""
    lines = [
        "| size | attention | from – to | ms | MB | exponent of time | of memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, by_attention in curves.items():
        for name, curve in by_attention.items():
            milliseconds, megabytes = (
                f"{scale * values[0]:,.1f} – {scale * values[-1]:,.1f}"
                for values, scale in ((curve.seconds, 1e3), (curve.num_bytes, 1e-6))
            )
            time, memory = curve.exponents
            span = f"{curve.values[0]:,} – {curve.values[-1]:,}"
            lines.append(
                f"| {UNITS[size]} | {name} | {span} | {milliseconds} | {megabytes} | {time:.2f} | {memory:.2f} |"
            )
    return "\n".join(lines)


def plot(curves: dict[str, dict[str, Curve]], path: Path) -> None:
    """Plot all curves: a column for each size, a row for time and one for memory, both axes logarithmic."""
    figure = Figure(figsize=(3.2 * len(curves), 5.6), layout="constrained")
    axes = figure.subplots(2, len(curves), squeeze=False, sharey="row", sharex="col")
    for column, (size, by_attention) in enumerate(curves.items()):
        for name, curve in by_attention.items():
            time, memory = curve.exponents
            seconds, num_bytes = [1e3 * value for value in curve.seconds], [value / 1e6 for value in curve.num_bytes]
            style = {"marker": "o" if name == "additive" else "s", "markersize": 4}
            axes[0, column].loglog(curve.values, seconds, label=f"{name}, exponent {time:.2f}", **style)
            axes[1, column].loglog(curve.values, num_bytes, label=f"{name}, exponent {memory:.2f}", **style)
        axes[1, column].set_xlabel(UNITS[size])
        axes[0, column].set_title("a search" if size == "beam" else "a step of training", fontsize=10)
        values = next(iter(by_attention.values())).values
        for row in (0, 1):
            axes[row, column].set_xticks(values, [f"{value:,}" for value in values], fontsize=7, rotation=30)
            axes[row, column].xaxis.set_minor_locator(NullLocator())
            axes[row, column].yaxis.set_major_formatter("{x:g}")
            axes[row, column].yaxis.set_minor_formatter(NullFormatter())
            axes[row, column].grid(alpha=0.3)
            axes[row, column].legend(fontsize=8)
    axes[0, 0].set_ylabel("milliseconds")
    axes[1, 0].set_ylabel("megabytes at most")
    save_figure(figure, path)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(CURVES), default=list(CURVES))
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--plot", type=Path, help="PNG file for the curves")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    device = torch.device(options.device)
    curves: dict[str, dict[str, Curve]] = {size: {} for size in options.sizes}
    for size, by_attention in curves.items():
        for name, attention in ATTENTIONS.items():
            by_attention[name] = measure_curve(attention, size, CURVES[size], options.trials, device)
            console.print(f"{size}, {name}: {by_attention[name]}")
    print(
        f"{options.threads} threads, {options.device}, torch {torch.__version__}, medians of {options.trials} trials\n"
    )
    print(to_table(curves))
    if options.plot:
        plot(curves, options.plot)
    if options.json:
        content = {size: {name: vars(curve) for name, curve in each.items()} for size, each in curves.items()}
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
