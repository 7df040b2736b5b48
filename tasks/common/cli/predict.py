"""The command ``predict``."""

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.common.cli.models import load_predictors
from tasks.common.cli.outcomes import Outcome, gather_in_order, make_outcome, short_name
from tasks.common.cli.outputs import Output, save_plots
from tasks.common.cli.predict_options import PredictOptions
from tasks.common.console import Advance, console, stage
from tasks.common.data.inputs import ListedInput
from tasks.common.errors import UsageError
from tasks.common.inference.config import SUBTITLES
from tasks.common.inference.formats import Formatter
from tasks.common.inference.input_kinds import count_arguments, list_arguments, parse_listed
from tasks.common.inference.trained_model import PartInput, TrainedModel
from tasks.common.processes import Processes
from tasks.common.task import Task

MAX_LISTED = 4  # inputs that a warning names


def predict(task: str, run: Path, options: PredictOptions) -> None:
    """Run ``run.py TASK predict RUN INPUT ... [--flags]``. Exits with 1 if some inputs can't be used, with 2 if all."""
    processes = Processes()
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
    processes.seed(options.seed)
    parts = {name: predictor.task for name, predictor in model.predictors.items()}
    # Answers on a terminal are progress enough, which a bar would disturb.
    has_bar = options.output_dir is not None or not sys.stdout.isatty()
    with stage("inputs", count_arguments(options.inputs, parts), announce=False) if has_bar else nullcontext() as bar:
        num_usable, num_inputs = write_predictions(model, processes, options, bar or (lambda count: None))
    processes.wait()  # the first that ends with an error ends all of them
    if num_usable < num_inputs:
        sys.exit(1 if num_usable else 2)


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

    def add(self, outcome: Outcome, num_processes: int) -> None:
        """Count an input; searches of several processes take place at the same time."""
        self.num_inputs += 1
        self.recorded_s += outcome.recorded_s
        self.taken_s += outcome.taken_s / num_processes
        if outcome.out_of_domain:
            self.num_unfamiliar += 1
            if len(self.unfamiliar) < MAX_LISTED:
                self.unfamiliar.append(f"{outcome.number} ({short_name(outcome.name)}): {outcome.out_of_domain}")


def write_predictions(
    model: TrainedModel, processes: Processes, options: PredictOptions, advance: Advance
) -> tuple[int, int]:
    """Write the output for each input as soon as it is known, and print what is to be said of them.

    Args:
        model: The model.
        processes: The processes that share the inputs. The main one writes and prints.
        options: The options of the command.
        advance: Is told how many more are done.

    Returns:
        How many inputs could be used, and the number of all.
    """
    output = Output(make_formatter(options), options.output_dir)
    consequence = "; its line stays empty" if output.has_empty_lines else ""
    parts = {name: PartStatistics() for name in model.predictors}
    number = num_usable = 0
    for outcomes in gather_in_order(generate_outcomes(model, processes, options), processes):
        for outcome in outcomes:
            number = outcome.number
            num_usable += outcome.problem is None
            parts[outcome.part].add(outcome, processes.count)
            for remark in outcome.remarks:
                console.print(remark + ("" if outcome.has_sentence else consequence))
            if processes.is_main:
                output.write(outcome)
            if processes.is_main and options.plot_dir:
                save_plots(outcome, Path(options.plot_dir))
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


def generate_outcomes(
    model: TrainedModel, processes: Processes, options: PredictOptions
) -> Iterator[Iterator[Outcome]]:
    """Generate for this process's share of the inputs, which are read when they are due, some at a time."""
    tasks = {name: predictor.task for name, predictor in model.predictors.items()}
    listed = list_arguments(options.inputs, tasks)
    is_one_recording = options.format in SUBTITLES and options.output_dir is None
    own = processes.share_of_main(only_one(listed, options.format) if is_one_recording else listed)
    inputs = ((part, parse_listed(tasks[part], each)) for part, each in own)
    if is_one_recording:
        inputs = with_duration(inputs, options.format)
    formatter, numbers = make_formatter(options), itertools.count(processes.rank + 1, processes.count)
    searches: dict[str, Any] = dict.fromkeys(model.predictors, options.search)
    for predictions, seconds in model.generate(inputs, searches):
        num_inputs = Counter(part for part, _ in predictions)
        yield (
            make_outcome(
                prediction,
                next(numbers),
                part,
                seconds[part] / num_inputs[part],
                formatter,
                has_plots=options.plot_dir is not None,
            )
            for part, prediction in predictions
        )


def only_one(listed: Iterator[tuple[str, ListedInput]], file_format: str) -> list[tuple[str, ListedInput]]:
    """Return the only input. Raises UsageError for several."""
    first_two = list(itertools.islice(listed, 2))
    if len(first_two) > 1:
        raise no_recording(file_format)
    return first_two


def with_duration(inputs: Iterable[PartInput], file_format: str) -> Iterator[PartInput]:
    """Yield inputs. Raises UsageError for one without a duration."""
    for part, parsed in inputs:
        if not all(segment.span for segment in parsed.segments):
            raise no_recording(file_format)
        yield part, parsed


def no_recording(file_format: str) -> UsageError:
    return UsageError(
        f"--format {file_format} makes the subtitles of one recording: name one, write a file for each with "
        "--output-dir, or leave it out"
    )


def describe_unfamiliar(statistics: PartStatistics, task: Task) -> str:
    """Describe the inputs that are far from the training data in one line."""
    count = statistics.num_unfamiliar
    more = [f"and {count - MAX_LISTED} more"] if count > MAX_LISTED else []
    data = task.config.data or task.builtin_data
    return (
        f"warning: {count} of {statistics.num_inputs} inputs are far from what this model was trained on, {data}; do "
        f"not trust their sentences: input {'; '.join([*statistics.unfamiliar, *more])}"
    )


def make_formatter(options: PredictOptions) -> Formatter:
    is_file = options.output_dir is not None
    return Formatter(options.format, options.words, options.scores, ranks=options.search.n_best > 1, is_file=is_file)
