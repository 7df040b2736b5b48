"""The command ``chat``: a conversation with a trained model on the terminal."""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from decoders.config import SearchConfig
from tasks.common.cli.models import load_predictor
from tasks.common.console import console
from tasks.common.data.text_problems import text_problem
from tasks.common.errors import UsageError
from tasks.common.hub.runs import run_name
from tasks.common.inference.domain import Domain, measure_with
from tasks.common.inference.predictor import Predictor
from tasks.dialogue.chat_options import ChatOptions
from tasks.dialogue.task import Dialogue

QUIT_WORDS = ("quit", "exit", "bye")
EMPTY_REPLY = "…"  # printed when the model generates nothing


def chat(task: str, run: Path, options: ChatOptions) -> None:
    """Run ``run.py dialogue chat RUN [--flags]``."""
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
