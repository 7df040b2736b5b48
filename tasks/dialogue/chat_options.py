"""The flags of ``chat``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.program import program
from tasks.common.run_config import load_config


@dataclass(frozen=True)
class ChatOptions:
    """Talk to a model, which reads your turn and the turns before it. An empty line starts a new conversation; quit,
    exit or bye ends the program."""

    search: Annotated[SearchConfig, tyro.conf.arg(name="")]
    rerank: str | None = None
    """A run trained with --backward that reranks the replies (maximum mutual information, Li et al. 2016)."""
    rerank_weight: float = 0.5
    """Weight of that run in the ranking."""
    seed: int = 1
    """Seed of the samples, with --sample."""

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused = {} if self.rerank else {"rerank_weight": "--rerank is not set"}
        if not self.search.sample:
            unused |= {"n_best": "the best reply is printed", "seed": "--sample is not set"}
        return unused


def parse_command(task: str, arguments: list[str]) -> tuple[Path, ChatOptions]:
    """Parse the arguments of ``chat``: the run and the options."""
    run, flags = parse_run_argument("chat", arguments, ChatOptions, ChatOptions(SearchConfig()))
    default = ChatOptions(load_config(task, run).search)
    return run, parse(ChatOptions, flags, f"{program()} {task} chat RUN", default)
