"""A conversation with a trained model on the terminal."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
import tyro

from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse
from tasks.common.console import console
from tasks.common.data.parallel_text import text_problem
from tasks.common.inference.evaluation import Predictor
from tasks.common.inference.loading import load_runs, parse_run_argument, read_config, reranking
from tasks.dialogue.task import Dialogue

QUIT = ("quit", "exit", "bye")
SILENCE = "…"  # where the model has nothing to say


@dataclass(frozen=True)
class ChatOptions:
    """Talk with a model: what you type is read together with what was said before. An empty line begins anew; quit,
    exit or bye ends it."""

    search: Annotated[SearchConfig, tyro.conf.arg(name="")]
    rerank: str | None = None
    """A run that was trained with --backward, by which replies are ranked against those that fit everything."""
    rerank_weight: float = 0.5
    """The share of that run in the ranking."""
    seed: int = 1
    """Of the draw, with --sample."""


def chat(task: str, arguments: list[str]) -> None:
    run, flags = parse_run_argument("chat", arguments, ChatOptions)
    options = parse(ChatOptions, flags, f"run.py {task} chat RUN", ChatOptions(read_config(task, run).search))
    writer = reranking(load_runs(task, [run]), task, options.rerank, options.rerank_weight)
    torch.manual_seed(options.seed)
    console.print(f"{run} listens. An empty line begins a new conversation; {', '.join(QUIT)} or Ctrl-D ends it.")
    for reply in replies(writer, typed(), options.search):
        print(reply, flush=True)


def typed() -> Iterator[str]:
    """What a person types, a line at a time, until a word that ends it."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        text = line.decode("utf-8", errors="replace").strip()
        if not line or text.lower() in QUIT:
            return
        yield text


def replies(writer: Predictor, turns: Iterator[str], search: SearchConfig) -> Iterator[str]:
    """A reply to each turn, with what both have said since the last empty one in mind."""
    task = writer.task
    assert isinstance(task, Dialogue)
    history: list[str] = []
    for turn in turns:
        wrong = text_problem(turn)
        if not turn:
            history = []
            console.print("(a new conversation)")
        elif wrong:
            console.print(f"what you typed {wrong}; say it again")
        else:
            history.append(turn)
            best = writer.write([task.context(history)], search)[0]
            reply = task.written(best[0].tokens) if best else ""
            yield reply or SILENCE
            history.append(reply or SILENCE)
