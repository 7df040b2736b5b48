"""The flags of ``evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro

import tasks
from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.data.splits import SPLITS
from tasks.common.errors import unknown_name
from tasks.common.inference.config import Normalization
from tasks.common.program import program
from tasks.common.run_config import load_config

S = TypeVar("S", bound=SearchConfig)


@dataclass(frozen=True)
class EvaluateOptions(Generic[S]):
    """Generate for a split with a run and score it."""

    search: Annotated[S, tyro.conf.arg(name="")]
    split: str = "test"
    """train, validation or test."""
    task: str | None = None
    """The only task of a joint run to evaluate."""
    data: str | None = None
    """Folder or hub id of other data than the run was trained on."""
    baseline: str | None = None
    """Another run, already evaluated on this split: the difference is tested by paired bootstrap."""
    ensemble: tuple[str, ...] = ()
    """Further runs that form an ensemble with this one."""
    rerank: str | None = None
    """A run of the opposite direction, whose likelihood of the source takes part in ranking the hypotheses (maximum
    mutual information, Li et al. 2016)."""
    rerank_weight: float = 0.5
    """Weight of that run in the ranking."""
    bert_score: str | None = None
    """Folder or hub id of a text encoder, as of BERT or RoBERTa: also compute BERTScore (Zhang et al. 2020) with it."""
    clip_score: str | None = None
    """Folder or hub id of a CLIP: also compute CLIPScore (Hessel et al. 2021) of the sentences about
    images with it."""
    normalize: Normalization = "none"
    """Normalization of transcripts before their errors are counted: whisper (Radford et al. 2023) for English,
    whisper_basic for other languages; none: the run's own."""
    skip_invalid: bool = False
    """Leave invalid rows out instead of stopping."""

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused = {} if self.search.sample else {"n_best": "the best hypothesis is evaluated"}
        return unused if self.rerank else unused | {"rerank_weight": "--rerank is not set"}


def parse_command(task: str, arguments: list[str]) -> tuple[Path, EvaluateOptions]:
    """Parse the arguments of ``evaluate``: the run and the options."""
    search_class = type(tasks.package(task).Config().search)
    options_class = EvaluateOptions[search_class]
    run, flags = parse_run_argument("evaluate", arguments, options_class, EvaluateOptions(search_class()))
    default = EvaluateOptions(load_config(task, run).search)
    options = parse(options_class, flags, f"{program()} {task} evaluate RUN", default)
    if options.split not in SPLITS:
        raise unknown_name("split", options.split, SPLITS)
    return run, options
