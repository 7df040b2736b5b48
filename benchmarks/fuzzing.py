"""Read random, broken and hostile inputs of all kinds, and check that each has an answer or is refused in one line.

    python benchmarks/fuzzing.py                                       all readers, 10,000 inputs each
    python benchmarks/fuzzing.py audio tables --inputs 1000 --seed 2
    python benchmarks/fuzzing.py --replay FOLDER/audio-1.txt ...       inputs that were saved as faults

Faults are errors other than those that a command shows in one line, answers that are wrong, more than 30 seconds or
2 GiB for an input, and ends of the process, such as a decoder's. The first input of each fault is saved in the folder
of ``--faults``. Inputs are read in a process of each reader's own, which is started again after it has ended. Linux
only.
"""

import argparse
import ast
import contextlib
import faulthandler
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from fuzz_readers import READERS
from hypothesis import HealthCheck, Phase, given, seed, settings

TIMEOUT_S = 30  # for an input
MAX_BYTES = 2 << 30  # of memory for an input
POLL_S = 1.0
BATCH = 1000  # inputs that Hypothesis generates with one seed
ENCODING: Any = {"encoding": "utf-8", "errors": "surrogatepass"}  # of inputs in files
PROJECT = Path(__file__).parents[1]


@dataclass
class Count:
    """The results of a reader: faults by their kind, with the first input of each and how often it was seen."""

    inputs: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)


def memory_peak(reset: bool = False) -> int:
    """Return the largest memory of this process in bytes, since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def kind_of(error: BaseException) -> str:
    """Name the kind of an error by its type and the innermost place in the project."""
    places = [
        f"{Path(each.filename).relative_to(PROJECT)}:{each.lineno}"
        for each in traceback.extract_tb(error.__traceback__)
        if Path(each.filename).is_relative_to(PROJECT) and "site-packages" not in each.filename
    ]
    own = [place for place in places if not place.startswith("benchmarks")] or places
    message = (str(error).splitlines() or [""])[0][:80] if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__} {own[-1] if own else ''} {message}".strip()


def try_input(read: Any, value: Any) -> tuple[str, str] | None:
    """Read an input. Return the kind of its fault and a description; None without one."""
    before, started = memory_peak(reset=True), time.monotonic()
    try:
        read(value)
    except Exception as error:
        return kind_of(error), "".join(traceback.format_exception(error))
    if memory_peak() - before > MAX_BYTES:
        return "memory", f"{(memory_peak() - before) / 2**30:.1f} GiB"
    if time.monotonic() - started > TIMEOUT_S:
        return "time", f"{time.monotonic() - started:.0f} s"
    return None


def read_inputs(name: str, number: int, first_seed: int, folder: Path, pipe: Connection) -> None:
    """Read a number of inputs in this process, and send how many were read, and each fault."""
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", DeprecationWarning)
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    os.chdir(scratch)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    current, stacks = folder / "current", (folder / "stacks").open("w+")
    errors = (folder / "errors").open("w+")  # what libraries in C print, too
    os.dup2(errors.fileno(), 2)
    faulthandler.enable(stacks)
    reader, done = READERS[name](scratch), 0

    def read(value: Any) -> None:
        nonlocal done
        if done >= number:
            return
        current.write_text(repr(value), **ENCODING)
        stacks.truncate(0)
        faulthandler.dump_traceback_later(2 * TIMEOUT_S, exit=True, file=stacks)
        found = try_input(reader.read, value)
        faulthandler.cancel_dump_traceback_later()
        errors.seek(0)
        printed = errors.read()
        if found is None and "Traceback" in printed:
            found = f"printed {printed.splitlines()[-1]}", printed
        errors.truncate(0)
        done += reader.count(value)
        pipe.send((reader.count(value), found and (*found, repr(value))))

    options = settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    while done < number:
        seed(first_seed)(options(given(reader.inputs)(read)))()
        first_seed += 1
    pipe.send(None)


class Campaign:
    """Reads inputs in other processes, and saves those with faults."""

    def __init__(self, faults: Path):
        self.faults = faults

    def run(self, name: str, number: int, first_seed: int, limit_s: float) -> Count:
        """Read inputs with a reader until there are enough, or for ``limit_s`` seconds."""
        count, started = Count(), time.monotonic()
        while count.inputs < number and time.monotonic() - started < limit_s:
            with tempfile.TemporaryDirectory() as folder:
                left = limit_s - (time.monotonic() - started)
                self.run_process(name, number - count.inputs, first_seed, Path(folder), count, left)
            first_seed += 1_000_000
        count.seconds = time.monotonic() - started
        return count

    def run_process(self, name: str, number: int, first_seed: int, folder: Path, count: Count, limit_s: float) -> None:
        """Read inputs in a process until it has read enough, or ends, or its time is over."""
        pipe, end = multiprocessing.Pipe()
        fork = multiprocessing.get_context("fork")
        process = fork.Process(target=read_inputs, args=(name, number, first_seed, folder, end))
        process.start()
        end.close()
        started = time.monotonic()
        with contextlib.suppress(EOFError):
            while time.monotonic() - started < limit_s:
                if not pipe.poll(POLL_S):
                    continue
                received = pipe.recv()
                if received is None:
                    break
                num_read, fault = received
                count.inputs += num_read
                if fault is not None:
                    self.save(name, count, *fault)
            else:
                process.kill()
        process.join()
        if process.exitcode and time.monotonic() - started < limit_s:
            count.inputs += 1
            stacks = "".join((folder / name).read_text(errors="replace") for name in ("stacks", "errors"))
            place = next((line.strip() for line in stacks.splitlines() if str(PROJECT) in line), "")
            text = (folder / "current").read_text(**ENCODING)
            self.save(name, count, f"exit code {process.exitcode} {place}", stacks, text)

    def save(self, name: str, count: Count, kind: str, description: str, text: str) -> None:
        """Count a fault; print it and save the text of its input if it is the first of its kind."""
        count.faults[kind] = count.faults.get(kind, 0) + 1
        if count.faults[kind] > 1:
            return
        self.faults.mkdir(parents=True, exist_ok=True)
        file = self.faults / f"{name}-{len(count.faults)}.txt"
        file.write_text(text, **ENCODING)
        print(f"{name}: {kind} ({file})\n{description}", flush=True)


def replay(files: list[str]) -> None:
    """Read saved inputs in this process, with the whole traceback of each fault."""
    for file in files:
        value = ast.literal_eval(Path(file).read_text(**ENCODING))
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            fault = try_input(READERS[Path(file).stem.rpartition("-")[0]](Path(folder)).read, value)
        print(f"{file}: {'holds' if fault is None else ': '.join(fault)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", choices=[[], *READERS], help="readers (default: all)")
    parser.add_argument("--inputs", type=int, default=10_000, help="inputs for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="time for each reader")
    parser.add_argument("--faults", type=Path, default=Path(tempfile.gettempdir()) / "fuzzing-faults")
    parser.add_argument("--replay", nargs="+", metavar="FILE", help="read saved inputs instead")
    options = parser.parse_args()
    if options.replay:
        files = [str(Path(file).absolute()) for file in options.replay]
        return replay(files)
    campaign = Campaign(options.faults.absolute())
    counts: dict[str, Count] = {}
    for name in options.readers or READERS:
        counts[name] = campaign.run(name, options.inputs, 1000 * options.seed, 60 * options.minutes)
        count = counts[name]
        print(
            f"{name}: {count.inputs:,} inputs, {len(count.faults)} kinds of faults in {sum(count.faults.values()):,} "
            f"of them, {count.seconds:.0f} s",
            flush=True,
        )
    sys.exit(any(count.faults for count in counts.values()))


if __name__ == "__main__":
    main()
