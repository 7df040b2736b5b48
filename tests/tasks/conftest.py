"""Data that tests of several tasks need, and programs in processes of their own."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.toy_world.scenes import text_pairs

# Imported once, in the process that all programs are forked from. None of our own: they read RANK when they are.
LIBRARIES = ["accelerate", "datasets", "matplotlib.pyplot", "sacrebleu", "tokenizers", "torch._dynamo", "transformers"]


@pytest.fixture(scope="session")
def save_text_pairs() -> Callable[..., None]:
    """Save the first pairs of the toy world, German and English, as parallel files: (folder, train=60, test=8)."""

    def save(folder: Path, **counts: int) -> None:
        for split, count in counts.items():
            pairs = text_pairs(split, count=count)
            for column, language in (("source", "de"), ("target", "en")):
                (folder / f"{split}.{language}").write_text("\n".join(pairs[column]) + "\n", encoding="utf-8")

    return save


def process_context() -> Any:
    """Return what starts processes: on Linux forks of one that has imported the libraries, which takes seconds."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


@pytest.fixture
def forked_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the processes that run side by side; see ``process_context``."""
    monkeypatch.setattr("tasks.common.cli.side_by_side.get_context", lambda _: process_context())


@pytest.fixture(scope="module")
def on_cpu() -> Iterator[None]:
    """Compute on the CPU, as a ``Program`` does, also where there is a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        yield


class Program:
    """``run.py`` with some arguments, in a process of its own on a CPU, with the number of threads of this one.

    Args:
        arguments: Those of the command line.
        output: The file of its standard error.
        environment: Further variables of its environment.
    """

    def __init__(self, arguments: list[str], output: Path, **environment: str):
        context = process_context()
        self.output = output
        own = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "ACCELERATE_USE_CPU": "true", **environment}
        variables = dict(os.environ) | own  # the server has those of the test that has started it
        self.process = context.Process(target=run_program, args=(arguments, output, variables))
        self.process.start()

    def is_running(self) -> bool:
        return self.process.is_alive()

    def send_signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def finish(self, code: int = 0) -> str:
        """Wait for its end; return what it wrote on standard error. ``code``: as of ``Process.exitcode``."""
        self.process.join(timeout=240)
        output = self.output.read_text(encoding="utf-8")
        assert self.process.exitcode == code, output
        return output


def run_program(arguments: list[str], output: Path, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), sys.stderr.fileno())
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    assert "tasks.common.console" not in sys.modules, "it has read RANK already"
    from tasks.run import main

    main(arguments)


@pytest.fixture
def start_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Program]]:
    """Start ``run.py`` with some arguments in a process of its own; see ``Program``."""
    started: list[Program] = []

    def start(*arguments: str, **environment: str) -> Program:
        started.append(Program([*arguments], tmp_path_factory.mktemp("program") / "stderr", **environment))
        return started[-1]

    yield start
    for program in started:  # after a failure the others may wait for it
        program.process.kill()


@pytest.fixture
def run_in_two_processes(start_program: Callable[..., Program]) -> Callable[..., str]:
    """Run a command in two processes, as ``accelerate launch`` does; return what the first one says."""

    def run(*arguments: str) -> str:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        programs = [start_program(*arguments, RANK=rank, LOCAL_RANK=rank, **shared) for rank in ("0", "1")]
        said, _ = (program.finish() for program in programs)
        return said

    return run
