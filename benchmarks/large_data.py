"""The memory and the time of each stage of training on millions of synthetic pairs of texts.

    python benchmarks/large_data.py FOLDER --pairs 10000000

writes the pairs and a run into FOLDER, with a cache of its own, trains for some updates, is killed, and resumes. Memory
is the sum over all processes of what is theirs alone and their share of the rest (PSS), in two parts: what must be in
memory, and pages of mapped files, which the system takes back when memory is short.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

NUM_WORDS = 100_000
NUM_HELD_OUT = 500  # pairs for validation
PAIRS_AT_ONCE = 100_000
POLL_S = 0.5
GIB = 2**20  # in KiB
ROOT = Path(__file__).parents[1]
STAGES = {  # the beginnings of lines that a training prints, and the stage that each begins
    "checking pairs": "check",
    "learning the vocabulary": "vocabulary",
    "tokenizing": "tokenize",
    "planned:": "train",
}


def write_pairs(folder: Path, num_pairs: int) -> None:
    """Write parallel files of 5 to 40 words, which are more frequent if they are shorter, as in Zipf's laws."""
    random = np.random.default_rng(1)
    letters, weights = np.array(list("etaoinshrdlucmfwypvbgkjqxz")), 1 / np.arange(1, 27)
    made = {
        "".join(random.choice(letters, size, p=weights / weights.sum())) for size in random.integers(2, 11, NUM_WORDS)
    }
    words = np.array(sorted(made, key=lambda word: (len(word), word)), dtype=object)
    cumulative = np.cumsum(1 / np.arange(1, len(words) + 1))
    for name, count in (("train", num_pairs), ("validation", NUM_HELD_OUT)):
        for ending in ("de", "en"):
            with (folder / f"{name}.{ending}").open("w", encoding="utf-8") as file:
                for start in range(0, count, PAIRS_AT_ONCE):
                    ends = random.integers(5, 41, min(PAIRS_AT_ONCE, count - start)).cumsum()
                    chosen = words[np.searchsorted(cumulative / cumulative[-1], random.random(ends[-1]))].tolist()
                    for first, last in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
                        file.write(" ".join(chosen[first:last]) + "\n")


@dataclass
class Stage:
    """A stage of a training: its time, and the most memory that it took, in KiB."""

    name: str
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    needed: int = 0
    mapped: int = 0


class Training:
    """A training in a process of its own, whose stages are measured."""

    def __init__(self, arguments: list[str], folder: Path):
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, str(ROOT / "run.py"), "translation", "train", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder)
        self.stages = [Stage("start")]
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        """Measure the memory again and again."""
        while self.process.poll() is None:
            needed, mapped = memory_of(self.process.pid)
            stage = self.stages[-1]
            stage.needed, stage.mapped = max(stage.needed, needed), max(stage.mapped, mapped)
            stage.seconds = time.monotonic() - stage.started
            time.sleep(POLL_S)

    def lines(self) -> Iterator[str]:
        """Yield the lines that the training prints, and begin a stage with some of them."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            name = next((name for beginning, name in STAGES.items() if line.startswith(beginning)), None)
            if name is not None and name != self.stages[-1].name:
                self.stages.append(Stage(name))
            yield line.rstrip()


def memory_of(process: int) -> tuple[int, int]:
    """Return the memory of a process and its children in KiB: what must be in memory, and pages of mapped files."""
    needed = mapped = 0
    for each in [process, *children_of(process)]:
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
        except (OSError, ProcessLookupError):  # it has ended
            continue
        sizes = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB$", rollup, re.MULTILINE)}
        needed += sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0)
        mapped += sizes.get("Pss_File", 0)
    return needed, mapped


def children_of(process: int) -> list[int]:
    """List the processes that a process has started, and those that they have started."""
    found = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text(encoding="ascii").split()):
            found += [child, *children_of(child)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--updates", type=int, default=200, help="updates before the training is killed, and after it")
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    data = options.folder / "pairs"
    if not data.exists():
        data.mkdir(parents=True)
        write_pairs(data, options.pairs)
    run = options.folder / "run"
    size = ["--encoder.hidden-dim", "64", "--encoder.embedding-dim", "64", "--decoder.hidden-dim", "128"]
    size += ["--decoder.embedding-dim", "64", "--vocabulary.size", "8000"]
    size += ["--batch.max-sources", "32", "--batch.max-source-size", "1200", "--batch.max-target-size", "1200"]
    evaluations = ["--train.eval-steps", "1000000", "--train.save-steps", str(options.updates)]
    common = ["--run", str(run), "--train.num-workers", "0"]
    first = ["iwslt14", "--data", str(data), *size, *evaluations, *common]
    for name, arguments in (("new run", first), ("resumed", ["--resume", "--run", str(run)])):
        training = Training(arguments, options.folder)
        threading.Thread(target=kill_at_save, args=(training, run), daemon=True).start()
        for line in training.lines():
            print(f"  {line}", flush=True)
        for stage in training.stages:
            print(
                f"{name:8s} {stage.name:12s} {stage.seconds / 60:6.1f} min  needed {stage.needed / GIB:5.2f} GiB  "
                f"mapped files {stage.mapped / GIB:5.2f} GiB",
                flush=True,
            )


def kill_at_save(training: Training, run: Path) -> None:
    """Kill a training when it has saved its state once more than at its start."""
    state = run / "last" / "training.safetensors"
    while training.stages[-1].name != "train":
        time.sleep(POLL_S)
    before = state.stat().st_mtime_ns
    while training.process.poll() is None:
        if state.stat().st_mtime_ns != before:
            training.process.send_signal(signal.SIGKILL)
        time.sleep(POLL_S)


if __name__ == "__main__":
    main()
