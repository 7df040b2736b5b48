"""The command ``predict``."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import torch
import tyro

import tasks
from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.cli.models import load_predictors
from tasks.common.cli.outputs import Output, short_name, words_of_name
from tasks.common.console import Advance, console, stage
from tasks.common.data.inputs import ParsedInput
from tasks.common.errors import UsageError
from tasks.common.files import new_path
from tasks.common.inference.formats import SUBTITLES, FormatName, Formatter
from tasks.common.inference.input_kinds import count_arguments, parse_arguments
from tasks.common.inference.loading import load_config
from tasks.common.inference.prediction import NOTHING, Prediction
from tasks.common.inference.trained_model import PartInput, TrainedModel
from tasks.common.program import program
from tasks.common.task import Task

MAX_LISTED = 4  # inputs that a warning names

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
    format: FormatName = "text"
    """text: one line for each input, or for each of the n best hypotheses, which then begins with the number of the
    input, 1.2 for the second segment of a recording that is split, and the rank, separated by tabs; json: one object
    for each input, with its segments and hypotheses, in a line; jsonl: one object in a line for each hypothesis of each
    segment; tsv: begin and end of each segment in milliseconds and its text, after the name of the input; srt and vtt:
    subtitles of one recording, or with --output-dir of many."""
    output_dir: str | None = None
    """Folder for a file with the output for each input, named after the input; existing files are kept. A tsv file is
    that of whisper, a json file one indented object."""
    words: bool = False
    """Give the words with their times, of inputs in which they are spoken: text has a line for each word, with the
    number of the input, begin and end in seconds, and the word; tsv a line for each word instead of each segment."""
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
        elif self.words:
            unused |= dict.fromkeys(("scores", "n_best"), "--words is set")
        if self.format in (*SUBTITLES, "tsv"):
            unused["n_best"] = f"--format is {self.format}"
        if self.format in SUBTITLES:
            unused["words"] = f"--format is {self.format}, whose cues begin and end with words in any case"
        return unused

    @property
    def formatter(self) -> Formatter:
        is_file = self.output_dir is not None
        return Formatter(self.format, self.words, self.scores, ranks=self.search.n_best > 1, is_file=is_file)


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
    if options.words and not model.has_word_times:
        raise UsageError(
            "--words: this run has no times of words; they are of speech and of lips, by a decoder with an alignment"
        )
    torch.manual_seed(options.seed)
    parts = {name: predictor.task for name, predictor in model.predictors.items()}
    inputs = parse_arguments(options.inputs, parts)
    if options.format in SUBTITLES and options.output_dir is None:
        inputs = only_recording(inputs, options.format)
    # Answers on a terminal are progress enough, which a bar would disturb.
    has_bar = options.output_dir is not None or not sys.stdout.isatty()
    with stage("inputs", count_arguments(options.inputs, parts), announce=False) if has_bar else nullcontext() as bar:
        num_usable, num_inputs = write_predictions(model, inputs, options, bar or (lambda count: None))
    if num_usable < num_inputs:
        sys.exit(1 if num_usable else 2)


def only_recording(inputs: Iterator[PartInput], file_format: str) -> list[PartInput]:
    """Return the only input. Raises UsageError for several, and for one without a duration."""
    first_two = list(itertools.islice(inputs, 2))
    if len(first_two) > 1 or not has_duration(first_two[0][1]):
        raise UsageError(
            f"--format {file_format} makes the subtitles of one recording: name one, write a file for each with "
            "--output-dir, or leave it out"
        )
    return first_two


def has_duration(parsed: ParsedInput) -> bool:
    return all(segment.span for segment in parsed.segments)


@dataclass
class PartStatistics:
    """The summary of the inputs of a part when all are done.

    Attributes:
        num_inputs: Their number.
        num_unfamiliar: The number of those far from the training data.
        unfamiliar: The first of these, with the reason.
        recorded_s: The duration of all.
        taken_s: The duration of the search.
    """

    num_inputs: int = 0
    num_unfamiliar: int = 0
    unfamiliar: list[str] = field(default_factory=list)
    recorded_s: float = 0.0
    taken_s: float = 0.0

    def add(self, prediction: Prediction, number: int) -> None:
        """Count an input."""
        self.num_inputs += 1
        self.recorded_s += sum(span[1] - span[0] for span in prediction.spans if span)
        if prediction.out_of_domain:
            self.num_unfamiliar += 1
            if len(self.unfamiliar) < MAX_LISTED:
                self.unfamiliar.append(f"{number} ({short_name(prediction.name)}): {prediction.out_of_domain}")


def write_predictions(
    model: TrainedModel, inputs: Iterable[PartInput], options: PredictOptions, advance: Advance
) -> tuple[int, int]:
    """Write the output for each input as soon as it is known, and print what is to be said of them.

    Args:
        model: The model.
        inputs: The inputs, which are read when they are due.
        options: The options of the command.
        advance: Is told how many more are done.

    Returns:
        How many inputs could be used, and the number of all.
    """
    output = Output(options.formatter, options.output_dir)
    consequence = "; its line stays empty" if output.has_empty_lines else ""
    searches: dict[str, Any] = dict.fromkeys(model.predictors, options.search)
    parts = {name: PartStatistics() for name in model.predictors}
    number = num_usable = 0
    for predictions, seconds in model.generate(inputs, searches):
        for part, own_s in seconds.items():
            parts[part].taken_s += own_s
        for part, prediction in predictions:
            number, statistics = number + 1, parts[part]
            statistics.add(prediction, number)
            for remark in remarks(prediction, number):
                console.print(remark + ("" if prediction.text else consequence))
            num_usable += output.write(prediction, number)
            if options.plot_dir:
                plot_segments(prediction, Path(options.plot_dir))
            advance(1)
        output.flush()
    for part, predictor in model.predictors.items():
        statistics = parts[part]
        if statistics.num_unfamiliar:
            console.print(describe_unfamiliar(statistics, predictor.task))
        if statistics.recorded_s:
            factor = f"real-time factor {statistics.taken_s / statistics.recorded_s:.4f}"
            recorded = f"sentences of {statistics.recorded_s:.1f} s of input"
            console.print(f"{recorded} generated in {statistics.taken_s:.1f} s: {factor}")
    return num_usable, number


def remarks(prediction: Prediction, number: int) -> list[str]:
    """Return what is to be said of an input: why it can't be used, damage, that nothing is recognized."""
    name = prediction.name if prediction.parsed.is_named else f"input {number}"
    if prediction.problem:
        return [f"{name} {prediction.problem}"]
    is_empty = prediction.hypotheses and NOTHING in prediction.notes
    return [
        *(f"{name} {note}" for note in prediction.parsed.notes),
        *([f"input {number} ({short_name(prediction.name)}): {NOTHING}"] if is_empty else []),
    ]


def describe_unfamiliar(statistics: PartStatistics, task: Task) -> str:
    """Describe the inputs that are far from the training data in one line."""
    count = statistics.num_unfamiliar
    more = [f"and {count - MAX_LISTED} more"] if count > MAX_LISTED else []
    data = task.config.data or task.builtin_data
    return (
        f"warning: {count} of {statistics.num_inputs} inputs are far from what this model was trained on, {data}; do "
        f"not trust their sentences: input {'; '.join([*statistics.unfamiliar, *more])}"
    )


def plot_segments(prediction: Prediction, folder: Path) -> None:
    """Plot the alignment of the best sentence of each segment of an input, and print the names of the files."""
    count = len(prediction.hypotheses)
    for segment in range(count):
        path = new_path(folder, words_of_name(prediction.name) + (f"-{segment + 1}" if count > 1 else ""), ".png")
        if prediction.plot(path, segment):
            console.print(f"plot: {path}")
