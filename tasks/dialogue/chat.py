"""The command ``chat``: a conversation with a trained model on the terminal."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro

from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.cli.models import load_predictor
from tasks.common.console import console
from tasks.common.data.parallel_text import text_problem
from tasks.common.errors import UsageError
from tasks.common.hub.runs import run_name
from tasks.common.inference.domain import Domain, measure_with
from tasks.common.inference.loading import load_config
from tasks.common.inference.predictor import Predictor
from tasks.common.program import program
from tasks.dialogue.task import Dialogue

QUIT_WORDS = ("quit", "exit", "bye")
EMPTY_REPLY = "…"  # printed when the model generates nothing


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


def chat(task: str, arguments: list[str]) -> None:
    """Run ``run.py dialogue chat RUN [--flags]``."""
    run, flags = parse_run_argument("chat", arguments, ChatOptions, ChatOptions(SearchConfig()))
    options = parse(ChatOptions, flags, f"{program()} {task} chat RUN", ChatOptions(load_config(task, run).search))
    if sys.stdin is None:
        raise UsageError("standard input is closed: chat reads your turns from it")
    predictor = load_predictor(task, run, options.rerank, options.rerank_weight)
    torch.manual_seed(options.seed)
    quit_words = ", ".join(QUIT_WORDS)
    console.print(
        f"Chatting with {run_name(run)}. An empty line starts a new conversation; {quit_words} or Ctrl-D ends it."
    )
    for reply in generate_replies(predictor, read_turns(), options.search, Domain.load(run)):
        print(reply, flush=True)


def read_turns() -> Iterator[str]:
    """Read lines from standard input until its end or a quit word."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        text = line.decode("utf-8", errors="replace").strip()
        if not line or text.lower() in QUIT_WORDS:
            return
        yield text


def generate_replies(
    predictor: Predictor, turns: Iterator[str], search: SearchConfig, domain: Domain | None = None
) -> Iterator[str]:
    """Generate a reply to each turn; the context includes earlier replies. An empty turn clears it.

    Args:
        predictor: The model.
        turns: The turns of the user.
        search: The search settings.
        domain: The statistics of the model's domain: what is far from it is said before its reply.
    """
    task = predictor.task
    assert isinstance(task, Dialogue)
    history: list[str] = []
    for turn in turns:
        invalid = text_problem(turn)
        if not turn:
            history = []
            console.print("(a new conversation)")
        elif invalid:
            console.print(f"your turn {invalid}; type it again")
        else:
            history.append(turn)
            sources = [task.join_context(history)]
            hypotheses = predictor.generate(sources, search)
            ranked = hypotheses[0]
            if domain is not None:
                lengths = task.source_lengths(sources)
                problem = domain.problem(*measure_with(predictor, sources, lengths, hypotheses, search))
                if problem:
                    far = "your turn is far from what this model was trained on; do not trust the reply"
                    console.print(f"{far}: {problem}")
            reply = (task.detokenize(ranked[0].tokens) if ranked else "") or EMPTY_REPLY
            yield reply
            history.append(reply)
