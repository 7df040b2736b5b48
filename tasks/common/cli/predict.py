"""The command ``predict``."""

import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

import torch
import tyro

import tasks
from decoders.base import Hypothesis
from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.cli.models import load_predictors
from tasks.common.console import console
from tasks.common.data.inputs import URL_SCHEMES, ParsedInput
from tasks.common.errors import UsageError
from tasks.common.files import new_path, to_json
from tasks.common.inference.domain import Domain, Familiarity, measure_with
from tasks.common.inference.input_kinds import divide_by_part
from tasks.common.inference.loading import load_config
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.subtitles import format_subtitles
from tasks.common.program import program
from tasks.common.task import Task
from tasks.common.task_group import part_folder

CHUNK_SIZE = 2048  # inputs that are generated together
SUBTITLES = ("srt", "vtt")
NOTHING = "nothing is recognized"
MAX_LISTED = 4  # inputs that a warning names
MAX_NAME = 40  # characters of an input's name in a warning and in the name of a plot

S = TypeVar("S", bound=SearchConfig)


@dataclass(frozen=True)
class PredictOptions(Generic[S]):
    """Generate a sentence for each input, one line each on standard output."""

    search: Annotated[S, tyro.conf.arg(name="")]
    inputs: tyro.conf.Positional[tuple[str, ...]] = ()
    """The inputs: texts, files or folders, addresses, or - for standard input."""
    task: str | None = None
    """The task of a joint run that reads the inputs, where their kind leaves it open."""
    plot_dir: str | None = None
    """Folder for plots of the alignment."""
    format: Literal["text", "json", "srt", "vtt"] = "text"
    """text: one line for each input, or for each of the n best hypotheses, which then begins with the number of the
    input, 1.2 for the second segment of a recording that is split, and the rank, separated by tabs; json: one object
    per line for each input; srt and vtt: subtitles of one recording."""
    scores: bool = False
    """Print the number of the input, the rank and the score in front of each hypothesis, separated by tabs."""
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
            unused["scores"] = f"--format is {self.format}"
        if self.format in SUBTITLES:
            unused["n_best"] = f"--format is {self.format}"
        return unused


def predict(task: str, arguments: list[str]) -> None:
    """Run ``run.py TASK predict RUN INPUT ... [--flags]``. Exits with 1 if some inputs can't be used, with 2 if all."""
    search_class = type(tasks.package(task).Config().search)
    options_class = PredictOptions[search_class]
    run, flags = parse_run_argument("predict", arguments, options_class, PredictOptions(search_class()))
    default = PredictOptions(load_config(task, run).search)
    options = parse(options_class, flags, f"{program()} {task} predict RUN", default)
    if not options.inputs:
        raise UsageError("there are no inputs: name texts, files, or - for standard input after the run")
    predictors = load_predictors(task, run, options.rerank, options.rerank_weight, options.ensemble, only=options.task)
    if options.plot_dir and not next(iter(predictors.values())).models[0].decoder.has_alignment:
        raise UsageError("--plot-dir: the decoder of this run has no alignment to plot; leave the flag out")
    domains = {name: Domain.load(part_folder(run, name)) for name in predictors}
    torch.manual_seed(options.seed)
    parts = {name: predictor.task for name, predictor in predictors.items()}
    groups = [(name, parts[name].parse_inputs(own)) for name, own in divide_by_part(options.inputs, parts)]
    inputs = [each for _, own in groups for each in own]
    if options.format in SUBTITLES and (len(inputs) != 1 or any(not segment.span for segment in inputs[0].segments)):
        raise UsageError(f"--format {options.format} makes the subtitles of one recording: name one, or leave it out")
    first_number = 1
    for name, own in groups:
        predict_inputs(predictors[name], own, first_number, domains[name], options)
        first_number += len(own)
    if any(each.problem for each in inputs):
        sys.exit(2 if all(each.problem for each in inputs) else 1)


def predict_inputs(
    predictor: Predictor,
    inputs: Sequence[ParsedInput],
    first_number: int,
    domain: Domain | None,
    options: PredictOptions,
) -> None:
    """Print a sentence for each input of a task, and what is to be said of them.

    Args:
        predictor: The models of the task.
        inputs: The inputs.
        first_number: The number of the first of them among all inputs of the command.
        domain: The statistics of the run's validation split, if there are any.
        options: The options of the command.
    """
    problems: dict[int, str] = {}  # of the inputs that are far from the training data, by their places
    taken_s = 0.0
    # Some thousand inputs at a time: batches have similar lengths, and the first lines are printed early.
    for start in range(0, len(inputs), CHUNK_SIZE):
        chunk = inputs[start : start + CHUNK_SIZE]
        sources = [segment.source for each in chunk for segment in each.segments]
        lengths = predictor.task.source_lengths(sources)
        started = time.monotonic()
        hypotheses = predictor.generate_all(sources, lengths, options.search)
        taken_s += time.monotonic() - started
        measured = measure_with(predictor, sources, lengths, hypotheses, options.search) if domain else []
        first = 0  # the place of an input's first segment among those of the chunk
        for place, each in enumerate(chunk, start):
            number = first_number + place
            own = slice(first, first + len(each.segments))
            ranked, first = hypotheses[own], own.stop
            problem = domain.problem(Familiarity.mean(measured[own])) if domain and each.segments else None
            if problem:
                problems[place] = problem
            notes = notes_of(each, ranked)
            if each.segments and NOTHING in notes:
                console.print(f"input {number} ({short_name(each.name)}): {NOTHING}, its line stays empty")
            print(format_output(predictor.task, number, each, ranked, options, problem, notes))
            if options.plot_dir:
                plot_segments(predictor, each, ranked, Path(options.plot_dir))
        sys.stdout.flush()
    if problems:
        console.print(describe_unfamiliar(problems, inputs, first_number, predictor.task))
    spans = [segment.span for each in inputs for segment in each.segments if segment.span]
    seconds = sum(end - begin for begin, end in spans)
    if seconds:
        factor = f"real-time factor {taken_s / seconds:.4f}"
        console.print(f"sentences of {seconds:.1f} s of input generated in {taken_s:.1f} s: {factor}")


def notes_of(parsed: ParsedInput, ranked: list[list[Hypothesis]]) -> list[str]:
    """Return what is to be said of an input and its hypotheses."""
    if parsed.problem:
        return [f"can't be used: it {parsed.problem}"]
    is_empty = not any(hypotheses and hypotheses[0].tokens for hypotheses in ranked)
    return [*parsed.notes, *([NOTHING] if is_empty else [])]


def format_output(
    task: Task,
    number: int,
    parsed: ParsedInput,
    ranked: list[list[Hypothesis]],
    options: PredictOptions,
    problem: str | None,
    notes: list[str],
) -> str:
    """Format the output for an input; an empty line if it has no segments, so that lines stay parallel to inputs.

    Args:
        task: The task.
        number: The number of the input, from 1.
        parsed: The input.
        ranked: The hypotheses for each segment.
        options: The options of the command.
        problem: Why the input is far from the training data; None if it is not.
        notes: What else is to be said of the input, for JSON: damage, that nothing is in it, or recognized.
    """
    segments = parsed.segments
    texts = [[task.detokenize(hypothesis.tokens) for hypothesis in hypotheses] for hypotheses in ranked]
    if options.format in SUBTITLES:
        timed = [
            (*segment.span, best[0]) for segment, best in zip(segments, texts, strict=True) if segment.span and best
        ]
        return format_subtitles(timed, options.format)
    best_text = " ".join(best[0] for best in texts if best and best[0])
    if options.format == "json":
        parts = [
            {
                "seconds": segment.span,
                "hypotheses": [
                    {"text": text, "score": hypothesis.score} for text, hypothesis in zip(best, hypotheses, strict=True)
                ],
            }
            for segment, best, hypotheses in zip(segments, texts, ranked, strict=True)
        ]
        line = {"input": number, "name": parsed.name, "text": best_text, "segments": parts}
        return to_json(line | {"out_of_domain": problem, "notes": notes})
    if options.search.n_best == 1 and not options.scores:
        return best_text
    lines = []
    for part, (hypotheses, best) in enumerate(zip(ranked, texts, strict=True), start=1):
        label = f"{number}.{part}" if len(segments) > 1 else str(number)
        for rank, (hypothesis, text) in enumerate(zip(hypotheses, best, strict=True), start=1):
            score = f"{hypothesis.score:.4f}\t" if options.scores else ""
            lines.append(f"{label}\t{rank}\t{score}{text}")
    return "\n".join(lines)


def describe_unfamiliar(
    problems: Mapping[int, str], inputs: Sequence[ParsedInput], first_number: int, task: Task
) -> str:
    """Describe in one line the inputs that are far from the training data, of which ``problems`` has the places."""
    listed = [f"{first_number + place} ({short_name(inputs[place].name)}): {text}" for place, text in problems.items()]
    more = [f"and {len(listed) - MAX_LISTED} more"] if len(listed) > MAX_LISTED else []
    data = task.config.data or task.builtin_data
    return (
        f"warning: {len(listed)} of {len(inputs)} inputs are far from what this model was trained on, {data}; do not "
        f"trust their sentences: input {'; '.join(listed[:MAX_LISTED] + more)}"
    )


def plot_segments(predictor: Predictor, parsed: ParsedInput, ranked: list[list[Hypothesis]], folder: Path) -> None:
    """Plot the alignment of the best hypothesis of each segment of an input, and print the names of the files."""
    words = re.findall(r"\w+", re.sub(r"\.\w{1,5}$", "", short_name(parsed.name)))  # without the file's suffix
    for part, (segment, hypotheses) in enumerate(zip(parsed.segments, ranked, strict=True), start=1):
        stem = ("-".join(words) or "input") + (f"-{part}" if len(parsed.segments) > 1 else "")
        path = new_path(folder, stem, ".png")
        if hypotheses and predictor.plot_alignment(segment.source, hypotheses[0], path) is not None:
            console.print(f"plot: {path}")


def short_name(name: str) -> str:
    """Shorten the name of an input: to that of its file, without its folder, or to its first characters."""
    try:
        is_path = name.startswith(URL_SCHEMES) or Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with characters that no name has
        is_path = False
    name = Path(name).name if is_path else name
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
