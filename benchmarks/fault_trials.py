"""Trainings in forks of one process, their interruption, and the comparison with an uninterrupted one."""

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
import torch._dynamo  # which an optimizer would import, in each fork
from safetensors.torch import load_file

import tasks.common.cli.predict
import tasks.common.cli.train  # noqa: F401 (imported once, before the forks)
from tasks import run

TASK = "speech_recognition"  # it has four caches, and is trained in two seconds
AVERAGE = ["--train.average-checkpoints", "2", "--train.eval-steps", "2"]
FLAGS = [*AVERAGE, "--train.save-steps", "1", "--train.num-workers", "1"]
PROGRAM = Path(__file__).parents[1] / "run.py"
TIMEOUT_S = 60
END_S = 30  # the longest time that a process may outlive its parent, or another one of the same training
STEP_S = 0.05  # between two looks at a process

Trial = tuple[str, str | None]  # what was done, and what was wrong with the result


class Training:
    """A command line that runs in a fork of this process, in a session of its own."""

    def __init__(self, arguments: list[str], log: Path, prepare: Callable[[], object] = lambda: None):
        self.log = log
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            with log.open("wb", buffering=0) as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            os._exit(exit_code(arguments, prepare))

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Return the exit code, negative for a signal; a training that takes too long is killed."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(STEP_S)

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def descendants(self) -> list[int]:
        """List the living processes of the session, this one excepted."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, _, session = status.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self.pid and state != "Z":
                    found.append(int(status.parent.name))
        return [pid for pid in found if pid != self.pid]


def exit_code(arguments: list[str], prepare: Callable[[], object]) -> int:
    """Run a command line and return its exit code."""
    try:
        prepare()
        run.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
    return 0


class Operations:
    """Counts the operations that make a file durable or visible, and kills the process before one of them."""

    def __init__(self, kill_at: int = 0):
        self.count, self.kill_at = multiprocessing.Value("i"), kill_at

    def __call__(self) -> None:
        """Watch the operations of this process."""
        self.pid = os.getpid()
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, self.watch(getattr(os, name)))

    def watch(self, operation: Callable) -> Callable:
        def watched(*arguments: object, **options: object) -> object:
            self.count.value += os.getpid() == self.pid
            if self.count.value == self.kill_at:
                os.kill(self.pid, signal.SIGKILL)
            return operation(*arguments, **options)

        return watched


def keep_voices(_: str, names: list[str]) -> list[str]:
    """List the names of a folder that are no recordings, as ``shutil.copytree`` ignores them."""
    return [name for name in names if "voices" not in name]


class Campaign:
    """The folder of the trials, and the uninterrupted run that they are compared with."""

    def __init__(self, folder: Path, num_kills: int, seed: int):
        self.folder, self.num_kills, self.random = folder, num_kills, random.Random(seed)
        self.count = 0
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        self.expected, operations = folder / "uninterrupted", Operations()
        started = time.monotonic()
        training = self.start(self.expected, prepare=operations)
        assert training.wait() == 0, training.output
        self.seconds, self.num_operations = time.monotonic() - started, operations.count.value
        print(f"an uninterrupted run: {self.seconds:.1f} s, {self.num_operations} operations on files", flush=True)

    def start(self, folder: Path, *flags: str, prepare: Callable[[], object] = lambda: None) -> Training:
        """Start a training in a folder, or resume the one that is there."""
        begins = [TASK, "train", "tiny", "--run", str(folder)]
        arguments = [*begins, "--resume"] if (folder / "config.json").is_file() else [*begins, *FLAGS]
        return Training([*arguments, *flags], self.new_path("log"), prepare)

    def new_path(self, kind: str) -> Path:
        self.count += 1
        return self.folder / f"{kind}-{self.count}"

    def new_run(self) -> Path:
        return self.new_path("run")

    def new_cache(self, filled: bool = False) -> Path:
        """Begin a cache folder with the recordings, since some of espeak-ng's voices never sound the same twice.

        Args:
            filled: Whether it has all the other files, too.
        """
        cache = self.new_path("cache") / "multimodal-seq2seq"
        others = shutil.ignore_patterns() if filled else keep_voices
        shutil.copytree(self.cache, cache, ignore=others)
        os.environ["XDG_CACHE_HOME"] = str(cache.parent)
        return cache

    @property
    def cache(self) -> Path:
        """The cache folder that the uninterrupted run has filled."""
        return self.folder / "cache" / "multimodal-seq2seq"

    def interrupted_run(self, share: float = 0.6) -> Path:
        """Return the folder of a run that was killed after this share of its operations; the cache is filled."""
        os.environ["XDG_CACHE_HOME"] = str(self.cache.parent)
        folder, kill_at = self.new_run(), int(share * self.num_operations_with_cache)
        assert self.start(folder, prepare=Operations(kill_at)).wait() == -signal.SIGKILL
        return folder

    @cached_property
    def num_operations_with_cache(self) -> int:
        """The number of operations of a run that finds all it needs in the cache."""
        operations = Operations()
        training = self.start(self.new_run(), prepare=operations)
        assert training.wait() == 0, training.output
        return operations.count.value

    def outcome(self, folder: Path) -> str | None:
        """Finish a run, and describe how it differs from the uninterrupted one; None if it does not."""
        training = self.start(folder)
        code = training.wait()
        if code:
            return f"exit code {code}: {training.output[-600:]}"
        return difference(folder, self.expected)

    def refusal(self, training: Training, code: int = 2) -> str | None:
        """Describe why a command did not end with one line that says what is wrong; None if it did."""
        got = training.wait()
        errors = [line for line in training.output.splitlines() if line.startswith("error: ")]
        if got == code and len(errors) == 1 and "Traceback" not in training.output:
            return None
        return f"exit code {got}: {training.output[-600:]}"


def difference(folder: Path, expected: Path) -> str | None:
    """Describe how a run differs from another one: in its files, weights or losses."""
    names = [{str(file.relative_to(run)) for file in run.rglob("*") if file.is_file()} for run in (folder, expected)]
    if names[0] != names[1]:
        return f"other files: {sorted(names[0] ^ names[1])}"
    for name in ("best.safetensors", "last/training.safetensors"):
        got, wanted = load_file(folder / name), load_file(expected / name)
        if got.keys() != wanted.keys() or not all(torch.equal(got[key], wanted[key]) for key in wanted):
            return f"other weights in {name}"
    for name in ("vocabulary.json", "domain.json"):
        if (folder / name).read_bytes() != (expected / name).read_bytes():
            return f"another {name}"
    try:
        return None if losses(folder) == losses(expected) else "other losses in metrics.jsonl"
    except ValueError:
        return "a broken metrics.jsonl"


def losses(folder: Path) -> list[dict]:
    """Read metrics.jsonl without its times."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("seconds", "tokens_per_second")}
        for line in lines
    ]


def orphans(training: Training) -> str | None:
    """Describe the processes that live on after a training has ended; None if all end in time."""
    deadline = time.monotonic() + END_S
    while training.descendants():
        if time.monotonic() > deadline:
            left = training.descendants()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return f"{len(left)} processes live on {END_S} s after their parent"
        time.sleep(STEP_S)
    return None
