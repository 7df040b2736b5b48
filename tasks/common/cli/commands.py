"""What can be done with a task: train, evaluate, predict. The same for all of them."""

import dataclasses
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
from tasks.common.cli.arguments import parse
from tasks.common.config import Config
from tasks.common.console import console
from tasks.common.data.inputs import InputSegment
from tasks.common.data.tables import SPLITS
from tasks.common.errors import UsageError, unknown_name
from tasks.common.inference import evaluation
from tasks.common.inference.evaluation import Predictor
from tasks.common.inference.loading import load_runs, parse_run_argument, read_config, reranking
from tasks.common.inference.subtitles import subtitles
from tasks.common.task import Task
from tasks.common.training import checkpoints as checkpoint
from tasks.common.training.trainer import Trainer

CHANGEABLE = ("epochs", "minutes", "patience", "save_every", "workers", "tensorboard")  # when a run is resumed
CHUNK = 2048  # inputs that predict reads at a time

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class TrainOptions(Generic[C]):
    """Train a model, and go on with one whose training was stopped."""

    config: Annotated[C, tyro.conf.arg(name="")]
    run: str | None = None
    """Folder of the run (default: runs/TASK-PRESET)."""
    resume: bool = False
    """Go on with the run in that folder; its configuration is kept but for the flags given."""
    start_from: str | None = None
    """A new run that begins with another's configuration, vocabulary and weights: for a second phase."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Write a whole split with a run and score it."""

    search: Annotated[SearchConfig, tyro.conf.arg(name="")]
    split: str = "test"
    """train, validation or test."""
    data: str | None = None
    """Another folder or hub id than the run was trained on."""
    against: str | None = None
    """Another run, already evaluated on this split: the difference is tested by paired bootstrap."""
    ensemble: tuple[str, ...] = ()
    """Further runs that write together with this one."""
    rerank: str | None = None
    """A run that was trained the other way round: what is written is also ranked by how well it tells what it was
    written for (maximum mutual information, Li et al. 2016)."""
    rerank_weight: float = 0.5
    """The share of that run in the ranking."""
    skip_invalid: bool = False
    """Leave bad rows out instead of stopping."""


@dataclass(frozen=True)
class PredictOptions:
    """Write a sentence for each input, one a line on standard output."""

    search: Annotated[SearchConfig, tyro.conf.arg(name="")]
    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """What to read: the inputs themselves, files, or - for standard input."""
    picture: str | None = None
    """A folder for pictures of what the model looked at."""
    format: Literal["text", "srt", "vtt"] = "text"
    """text: a line for each input, and n-best a line for each hypothesis; srt and vtt: subtitles of one recording."""
    scores: bool = False
    """Write each hypothesis' number and score in front of it, with tabs between."""
    ensemble: tuple[str, ...] = ()
    """Further runs that write together with this one."""
    rerank: str | None = None
    """A run that was trained the other way round: what is written is also ranked by how well it tells what it was
    written for (maximum mutual information, Li et al. 2016)."""
    rerank_weight: float = 0.5
    """The share of that run in the ranking."""
    seed: int = 1
    """Of the draw, with --sample."""


def choose_preset(task: str, arguments: list[str]) -> tuple[str, list[str], Config]:
    """The preset's name (demo, if none is named), the flags behind it, and its configuration."""
    presets = tasks.package(task).PRESETS
    named = bool(arguments) and not arguments[0].startswith("-")
    preset, flags = (arguments[0], arguments[1:]) if named else ("demo", arguments)
    if preset not in presets:
        raise unknown_name("preset", preset, presets)
    return preset, flags, presets[preset]()


def train(task: str, arguments: list[str]) -> None:
    preset, flags, config = choose_preset(task, arguments)
    program = f"run.py {task} train {preset}"
    kind = TrainOptions[tasks.package(task).Config]
    options = parse(kind, flags, program, TrainOptions(config))
    folder = Path(options.run or f"runs/{task}-{preset}")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--run {folder} is no folder; name another one")
    there = (folder / "config.json").is_file()
    if there and not options.resume:
        raise UsageError(f"{folder} holds a run already: go on with it by --resume, or name another folder by --run")
    if options.resume:
        if not there:
            raise UsageError(f"--resume: there is no run in {folder}; name its folder by --run")
        kept = read_config(task, folder)
        options = parse(kind, flags, program, TrainOptions(kept))
        check_resumable(kept, options.config)
    elif options.start_from:
        options = parse(kind, flags, program, TrainOptions(read_config(task, Path(options.start_from))))
    origin = Path(options.start_from) if options.start_from and not options.resume else None
    start(task, options.config, folder, resume=options.resume, start_from=origin)


def check_resumable(kept: Config, wanted: Config) -> None:
    """A run can't go on as another one: only how long it trains and what is beside the training may change."""
    free = {name: getattr(wanted.train, name) for name in CHANGEABLE}
    if dataclasses.replace(kept, search=wanted.search, train=dataclasses.replace(kept.train, **free)) != wanted:
        names = ", ".join(f"--train.{name.replace('_', '-')}" for name in CHANGEABLE)
        raise UsageError(f"--resume: this flag would make it another run; only {names} and search flags may change")


def start(task: str, config: Config, folder: Path, *, resume: bool, start_from: Path | None = None) -> None:
    """Train a run from its configuration, which is kept in its folder once the data was found good."""
    training = Trainer(tasks.package(task).Task(config), folder, resume=resume, start_from=start_from)
    if training.accelerator.is_main_process:
        checkpoint.write_json(folder / "config.json", {"task": task, "config": dataclasses.asdict(config)})
    training.run()


def train_if_needed(task: str, config: Config, folder: Path) -> None:
    """Train a run, go on with it, or find it finished, if it is there with the very same configuration."""
    there = (folder / "config.json").is_file()
    if there and read_config(task, folder) != config:
        raise UsageError(f"{folder} was trained with another configuration: name another --run, or remove that folder")
    start(task, config, folder, resume=there)


def evaluate(task: str, arguments: list[str]) -> None:
    run, flags = parse_run_argument("evaluate", arguments, EvaluateOptions)
    default = EvaluateOptions(read_config(task, run).search)
    options = parse(EvaluateOptions, flags, f"run.py {task} evaluate RUN", default)
    if options.split not in SPLITS:
        raise unknown_name("split", options.split, SPLITS)
    writer = load_runs(task, [run, *map(Path, options.ensemble)], data=options.data, skip_invalid=options.skip_invalid)
    writer = reranking(writer, task, options.rerank, options.rerank_weight)
    report = evaluation.evaluate(
        writer, options.split, options.search, run, Path(options.against) if options.against else None
    )
    evaluation.show(report)


def predict(task: str, arguments: list[str]) -> None:
    run, flags = parse_run_argument("predict", arguments, PredictOptions)
    default = PredictOptions(read_config(task, run).search)
    options = parse(PredictOptions, flags, f"run.py {task} predict RUN", default)
    if not options.inputs:
        raise UsageError("there is nothing to predict from: name inputs, files, or - for standard input after the run")
    writer = load_runs(task, [run, *map(Path, options.ensemble)])
    writer = reranking(writer, task, options.rerank, options.rerank_weight)
    config = writer.task.config
    decoder = config.decoder.kind
    if options.picture and (decoder == "s2vt" or (decoder == "attention" and config.attention.score == "none")):
        raise UsageError("--plot-dir: this run has no attention that could be drawn; leave the flag out")
    torch.manual_seed(options.seed)
    started = time.monotonic()
    inputs = writer.task.parse(options.inputs)
    if options.format != "text" and (len(inputs) != 1 or any(piece.span is None for piece in inputs[0])):
        raise UsageError(f"--format {options.format} makes the subtitles of one recording; name one, or leave it out")
    # Some thousand at a time: like lengths are together then, and the first lines are seen while others are written.
    for start in range(0, len(inputs), CHUNK):
        chunk = inputs[start : start + CHUNK]
        sources = [piece.source for pieces in chunk for piece in pieces]
        written = iter(writer.generate_all(sources, writer.task.source_lengths(sources), options.search))
        for number, pieces in enumerate(chunk, start + 1):
            ranked = [next(written) for _ in pieces]
            print(output(writer.task, pieces, ranked, options))
            if options.picture:
                draw(writer, pieces, ranked, Path(options.picture), f"{number:04d}")
        sys.stdout.flush()
    seconds = sum(piece.span[1] - piece.span[0] for pieces in inputs for piece in pieces if piece.span)
    if seconds:
        taken = time.monotonic() - started
        console.print(f"{seconds:.1f} s of input in {taken:.1f} s: real-time factor {taken / seconds:.4f}")


def output(task: Task, pieces: list[InputSegment], ranked: list[list[Hypothesis]], options: PredictOptions) -> str:
    """What is printed for one input; an empty line if it has no piece, so that input and output stay side by side."""
    texts = [[task.written(hypothesis.tokens) for hypothesis in best] for best in ranked]
    if options.format != "text":
        spoken = [(*piece.span, best[0]) for piece, best in zip(pieces, texts, strict=True) if piece.span and best]
        return subtitles(spoken, options.format)
    if options.search.n_best == 1 and not options.scores:
        return " ".join(best[0] for best in texts if best and best[0])
    lines = []
    for hypotheses, best in zip(ranked, texts, strict=True):
        for place, (hypothesis, text) in enumerate(zip(hypotheses, best, strict=True), start=1):
            lines.append((f"{place}\t{hypothesis.score:.4f}\t" if options.scores else "") + text)
    return "\n".join(lines)


def draw(
    writer: Predictor, pieces: list[InputSegment], ranked: list[list[Hypothesis]], folder: Path, name: str
) -> None:
    """A picture of what the model looked at, for each piece of an input."""
    for part, (piece, best) in enumerate(zip(pieces, ranked, strict=True), start=1):
        weights = writer.look(piece.source, best[0]) if best and best[0].tokens else None
        if weights is not None:
            path = folder / (f"{name}.png" if len(pieces) == 1 else f"{name}-{part}.png")
            writer.task.render(piece.source, best[0].tokens, weights, path)
            console.print(f"{path}")
