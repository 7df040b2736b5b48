"""The flags of ``predict``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro

import tasks
from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.errors import UsageError
from tasks.common.inference.config import SUBTITLES, FormatName
from tasks.common.program import program
from tasks.common.run_config import load_config

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
    """Seed of the samples, with --sample; they also depend on the number of processes."""

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


def parse_command(task: str, arguments: list[str]) -> tuple[Path, PredictOptions]:
    """Parse the arguments of ``predict``: the run and the options."""
    search_class = type(tasks.package(task).Config().search)
    options_class = PredictOptions[search_class]
    run, flags = parse_run_argument("predict", arguments, options_class, PredictOptions(search_class()))
    default = PredictOptions(load_config(task, run).search)
    options = parse(options_class, flags, f"{program()} {task} predict RUN", default)
    if not options.inputs:
        raise UsageError("there are no inputs: name texts, files, or - for standard input after the run")
    return run, options
