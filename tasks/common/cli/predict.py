"""The command ``predict``."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import torch
import tyro

import tasks
from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.cli.models import load_predictors
from tasks.common.console import console
from tasks.common.data.inputs import URL_SCHEMES
from tasks.common.errors import UsageError
from tasks.common.files import new_path, to_json
from tasks.common.inference.input_kinds import divide_by_part
from tasks.common.inference.loading import load_config
from tasks.common.inference.prediction import NOTHING, Prediction
from tasks.common.inference.subtitles import format_subtitles
from tasks.common.inference.trained_model import PartInput, TrainedModel
from tasks.common.program import program
from tasks.common.task import Task

SUBTITLES = ("srt", "vtt")
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
    model = TrainedModel.from_run(
        run,
        load_predictors(task, run, options.rerank, options.rerank_weight, options.ensemble, only=options.task),
    )
    if options.plot_dir and not model.has_alignment:
        raise UsageError("--plot-dir: the decoder of this run has no alignment to plot; leave the flag out")
    torch.manual_seed(options.seed)
    parts = {name: predictor.task for name, predictor in model.predictors.items()}
    inputs: list[PartInput] = []
    for name, own in divide_by_part(options.inputs, parts):
        inputs += [(name, each) for each in parts[name].parse_inputs(own, len(inputs) + 1)]
    parsed = [each for _, each in inputs]
    if options.format in SUBTITLES and (len(parsed) != 1 or any(not segment.span for segment in parsed[0].segments)):
        raise UsageError(f"--format {options.format} makes the subtitles of one recording: name one, or leave it out")
    print_predictions(model, inputs, options)
    if any(each.problem for each in parsed):
        sys.exit(2 if all(each.problem for each in parsed) else 1)


def print_predictions(model: TrainedModel, inputs: Sequence[PartInput], options: PredictOptions) -> None:
    """Print a sentence for each input, and what is to be said of them."""
    problems: dict[str, list[str]] = {}  # of the inputs of each part that are far from the training data
    taken_s = dict.fromkeys(model.predictors, 0.0)
    searches: dict[str, Any] = dict.fromkeys(model.predictors, options.search)
    number = 0
    for predictions, seconds in model.generate(inputs, searches):
        for part, own_s in seconds.items():
            taken_s[part] += own_s
        for prediction in predictions:
            part, number = inputs[number][0], number + 1
            name = short_name(prediction.name)
            if prediction.out_of_domain:
                problems.setdefault(part, []).append(f"{number} ({name}): {prediction.out_of_domain}")
            if prediction.hypotheses and NOTHING in prediction.notes:
                console.print(f"input {number} ({name}): {NOTHING}, its line stays empty")
            print(format_prediction(prediction, number, options))
            if options.plot_dir:
                plot_segments(prediction, Path(options.plot_dir))
        sys.stdout.flush()
    for part, predictor in model.predictors.items():
        own = [each for name, each in inputs if name == part]
        if part in problems:
            console.print(describe_unfamiliar(problems[part], len(own), predictor.task))
        spans = [segment.span for each in own for segment in each.segments if segment.span]
        seconds = sum(end - begin for begin, end in spans)
        if seconds:
            factor = f"real-time factor {taken_s[part] / seconds:.4f}"
            console.print(f"sentences of {seconds:.1f} s of input generated in {taken_s[part]:.1f} s: {factor}")


def format_prediction(prediction: Prediction, number: int, options: PredictOptions) -> str:
    """Format the output for an input; an empty line if it has no segments, so that lines stay parallel to inputs.

    Args:
        prediction: The sentences of the input.
        number: The number of the input, from 1.
        options: The options of the command.
    """
    if options.format in SUBTITLES:
        pairs = zip(prediction.spans, prediction.segments, strict=True)
        return format_subtitles([(*span, best[0].text) for span, best in pairs if span and best], options.format)
    if options.format == "json":
        parts = [
            {"seconds": span, "hypotheses": [{"text": each.text, "score": each.score} for each in best]}
            for span, best in zip(prediction.spans, prediction.segments, strict=True)
        ]
        line = {"input": number, "name": prediction.name, "text": prediction.text, "segments": parts}
        return to_json(line | {"out_of_domain": prediction.out_of_domain, "notes": prediction.notes})
    if options.search.n_best == 1 and not options.scores:
        return prediction.text
    lines = []
    for part, best in enumerate(prediction.segments, start=1):
        label = f"{number}.{part}" if len(prediction.segments) > 1 else str(number)
        for rank, sentence in enumerate(best, start=1):
            score = f"{sentence.score:.4f}\t" if options.scores else ""
            lines.append(f"{label}\t{rank}\t{score}{sentence.text}")
    return "\n".join(lines)


def describe_unfamiliar(listed: Sequence[str], num_inputs: int, task: Task) -> str:
    """Describe the inputs that are far from the training data in one line; ``listed`` says why each of them is."""
    more = [f"and {len(listed) - MAX_LISTED} more"] if len(listed) > MAX_LISTED else []
    data = task.config.data or task.builtin_data
    return (
        f"warning: {len(listed)} of {num_inputs} inputs are far from what this model was trained on, {data}; do not "
        f"trust their sentences: input {'; '.join([*listed[:MAX_LISTED], *more])}"
    )


def plot_segments(prediction: Prediction, folder: Path) -> None:
    """Plot the alignment of the best sentence of each segment of an input, and print the names of the files."""
    words = re.findall(r"\w+", re.sub(r"\.\w{1,5}$", "", short_name(prediction.name)))  # without the file's suffix
    count = len(prediction.hypotheses)
    for segment in range(count):
        path = new_path(folder, ("-".join(words) or "input") + (f"-{segment + 1}" if count > 1 else ""), ".png")
        if prediction.plot(path, segment):
            console.print(f"plot: {path}")


def short_name(name: str) -> str:
    """Shorten the name of an input: to that of its file, without its folder, or to its first characters."""
    try:
        is_path = name.startswith(URL_SCHEMES) or Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with characters that no name has
        is_path = False
    name = Path(name).name if is_path else name
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
