"""The command ``predict``."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import torch
import tyro

import tasks
from decoders.base import Hypothesis
from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.cli.models import load_predictor
from tasks.common.console import console
from tasks.common.data.inputs import InputSegment
from tasks.common.errors import UsageError
from tasks.common.inference.loading import load_config
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.subtitles import format_subtitles
from tasks.common.program import program
from tasks.common.task import Task

CHUNK_SIZE = 2048  # inputs that are generated together

S = TypeVar("S", bound=SearchConfig)


@dataclass(frozen=True)
class PredictOptions(Generic[S]):
    """Generate a sentence for each input, one line each on standard output."""

    search: Annotated[S, tyro.conf.arg(name="")]
    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """The inputs: texts, files or folders, addresses, or - for standard input."""
    plot_dir: str | None = None
    """Folder for plots of the alignment."""
    format: Literal["text", "srt", "vtt"] = "text"
    """text: one line for each input, or for each of the n best hypotheses; srt and vtt: subtitles of one recording."""
    scores: bool = False
    """Print the rank and the score in front of each hypothesis, separated by tabs."""
    ensemble: tuple[str, ...] = ()
    """Further runs that form an ensemble with this one."""
    rerank: str | None = None
    """A run of the opposite direction, whose likelihood of the source takes part in ranking the hypotheses (maximum
    mutual information, Li et al. 2016)."""
    rerank_weight: float = 0.5
    """Weight of that run in the ranking."""
    seed: int = 1
    """Seed of the samples, with --sample."""

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused = {} if self.rerank else {"rerank_weight": "--rerank is not set"}
        if not self.search.sample:
            unused["seed"] = "--sample is not set"
        if self.format != "text":
            unused |= dict.fromkeys(("scores", "n_best"), f"--format is {self.format}")
        return unused


def predict(task: str, arguments: list[str]) -> None:
    """Run ``run.py TASK predict RUN INPUT ... [--flags]``."""
    search_class = type(tasks.package(task).Config().search)
    options_class = PredictOptions[search_class]
    run, flags = parse_run_argument("predict", arguments, options_class, PredictOptions(search_class()))
    default = PredictOptions(load_config(task, run).search)
    options = parse(options_class, flags, f"{program()} {task} predict RUN", default)
    if not options.inputs:
        raise UsageError("there are no inputs: name texts, files, or - for standard input after the run")
    predictor = load_predictor(task, run, options.rerank, options.rerank_weight, options.ensemble)
    if options.plot_dir and not predictor.models[0].decoder.has_alignment:
        raise UsageError("--plot-dir: the decoder of this run has no alignment to plot; leave the flag out")
    torch.manual_seed(options.seed)
    started = time.monotonic()
    inputs = predictor.task.parse_inputs(options.inputs)
    if options.format != "text" and (len(inputs) != 1 or any(segment.span is None for segment in inputs[0])):
        raise UsageError(f"--format {options.format} makes the subtitles of one recording: name one, or leave it out")
    # Some thousand inputs at a time: batches have similar lengths, and the first lines are printed early.
    for start in range(0, len(inputs), CHUNK_SIZE):
        chunk = inputs[start : start + CHUNK_SIZE]
        sources = [segment.source for segments in chunk for segment in segments]
        generated = iter(predictor.generate_all(sources, predictor.task.source_lengths(sources), options.search))
        for number, segments in enumerate(chunk, start + 1):
            ranked = [next(generated) for _ in segments]
            print(format_output(predictor.task, segments, ranked, options))
            if options.plot_dir:
                plot_segments(predictor, segments, ranked, Path(options.plot_dir), f"{number:04d}")
        sys.stdout.flush()
    seconds = sum(segment.span[1] - segment.span[0] for segments in inputs for segment in segments if segment.span)
    if seconds:
        taken = time.monotonic() - started
        console.print(f"{seconds:.1f} s of input in {taken:.1f} s: real-time factor {taken / seconds:.4f}")


def format_output(
    task: Task, segments: list[InputSegment], ranked: list[list[Hypothesis]], options: PredictOptions
) -> str:
    """Format the output for one input; an empty line if it has no segments, so that lines stay parallel to inputs."""
    texts = [[task.detokenize(hypothesis.tokens) for hypothesis in hypotheses] for hypotheses in ranked]
    if options.format != "text":
        timed = [
            (*segment.span, best[0]) for segment, best in zip(segments, texts, strict=True) if segment.span and best
        ]
        return format_subtitles(timed, options.format)
    if options.search.n_best == 1 and not options.scores:
        return " ".join(best[0] for best in texts if best and best[0])
    lines = []
    for hypotheses, best in zip(ranked, texts, strict=True):
        for rank, (hypothesis, text) in enumerate(zip(hypotheses, best, strict=True), start=1):
            lines.append((f"{rank}\t{hypothesis.score:.4f}\t" if options.scores else "") + text)
    return "\n".join(lines)


def plot_segments(
    predictor: Predictor, segments: list[InputSegment], ranked: list[list[Hypothesis]], folder: Path, name: str
) -> None:
    """Plot the alignment of the best hypothesis of each segment of an input."""
    for part, (segment, hypotheses) in enumerate(zip(segments, ranked, strict=True), start=1):
        path = folder / (f"{name}.png" if len(segments) == 1 else f"{name}-{part}.png")
        if hypotheses and predictor.plot_alignment(segment.source, hypotheses[0], path) is not None:
            console.print(f"{path}")
