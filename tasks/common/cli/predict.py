"""The command ``predict``."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tasks.common.cli.models import load_predictors
from tasks.common.cli.outputs import Output, short_name, words_of_name
from tasks.common.cli.predict_options import PredictOptions
from tasks.common.console import Advance, console, stage
from tasks.common.data.inputs import ParsedInput
from tasks.common.errors import UsageError
from tasks.common.files import new_path
from tasks.common.inference.config import SUBTITLES
from tasks.common.inference.formats import Formatter
from tasks.common.inference.input_kinds import count_arguments, parse_arguments
from tasks.common.inference.prediction import NOTHING, Prediction
from tasks.common.inference.trained_model import PartInput, TrainedModel
from tasks.common.task import Task

MAX_LISTED = 4  # inputs that a warning names


def predict(task: str, run: Path, options: PredictOptions) -> None:
    """Run ``run.py TASK predict RUN INPUT ... [--flags]``. Exits with 1 if some inputs can't be used, with 2 if all."""
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
    output = Output(make_formatter(options), options.output_dir)
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


def make_formatter(options: PredictOptions) -> Formatter:
    is_file = options.output_dir is not None
    return Formatter(options.format, options.words, options.scores, ranks=options.search.n_best > 1, is_file=is_file)
