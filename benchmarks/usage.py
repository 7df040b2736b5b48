"""The memory and the open files of a command and its children, sampled while it runs. Linux only."""

import subprocess
import sys
import time
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import psutil

PROGRAM = Path(__file__).parents[1] / "run.py"
MEGABYTE = 1_000_000
INTERVAL_S = 0.1  # between two samples
MAX_GROWTH = 1.05  # of the peak in the second half, compared with that in the first half


@dataclass(frozen=True)
class Usage:
    """The memory, open files and time that a process and its children took.

    Attributes:
        code: Its exit code.
        output: Its standard output.
        errors: Its standard error.
        bytes: The memory at each sample: the sum of proportional set sizes, in which shared pages count once.
        own_bytes: What of it is in no file: the program's own memory. Pages of a library count more when another
            program that uses it ends, so the sum may grow when the program does not.
        handles: The open files at each sample.
        seconds: Its duration.
        work: The samples between the first and the last result, as a slice: imports are before them, and the end of a
            process takes memory once more.
    """

    code: int
    output: str
    errors: str
    bytes: list[int]
    own_bytes: list[int]
    handles: list[int]
    seconds: float
    work: slice

    @property
    def peak(self) -> int:
        """The peak of all memory."""
        return max(self.bytes)

    @property
    def peaks_by_half(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The peaks of the program's own memory and of its open files, in both halves of the work."""
        return peaks_of_halves(self.own_bytes[self.work]), peaks_of_halves(self.handles[self.work])

    @property
    def halves(self) -> str:
        """The peaks of the program's own memory and of its open files, and the duration, as text."""
        (memory, later_memory), (handles, later_handles) = self.peaks_by_half
        megabytes = f"{memory / MEGABYTE:,.0f} and {later_memory / MEGABYTE:,.0f} MB"
        return f"{megabytes}, {handles} and {later_handles} open files, {self.seconds:,.0f} s"

    @property
    def is_flat(self) -> bool:
        """Tell whether the command succeeded, and memory and open files are flat in the second half of the work."""
        (memory, later_memory), (handles, later_handles) = self.peaks_by_half
        return not self.code and later_memory <= MAX_GROWTH * memory and later_handles <= handles


def peaks_of_halves(samples: list[int]) -> tuple[int, int]:
    """Return the peaks of the first and the second half."""
    middle = (len(samples) + 1) // 2
    return max(samples[:middle]), max(samples[middle:] or [0])


def memory(process: psutil.Process) -> tuple[int, int]:
    """Return the proportional set size of a process, and what of it is in no file, in bytes.

    Raises:
        psutil.Error: The process has ended.
    """
    try:
        rows = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise psutil.NoSuchProcess(process.pid) from error
    if not rows:
        raise psutil.ZombieProcess(process.pid)
    kilobytes = {name: int(rest.split()[0]) for name, rest in (row.split(":", maxsplit=1) for row in rows[1:])}
    return 1024 * kilobytes["Pss"], 1024 * (kilobytes["Pss_Anon"] + kilobytes["Pss_Shmem"])


def run(folder: Path, *arguments: object, results: Path | None = None) -> Usage:
    """Run a command line, and sample what it takes. ``results`` is the file of its results, if not standard output."""
    results = results or folder / "output"
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        started, totals, own, handles, times, first = time.monotonic(), [], [], [], [], None
        command = [sys.executable, str(PROGRAM), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=output, stderr=errors, stdin=subprocess.DEVNULL)
        root = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                family = [root, *root.children(recursive=True)]
                sizes, num_files = [memory(each) for each in family], sum(each.num_fds() for each in family)
            except psutil.Error:  # one has ended meanwhile
                time.sleep(INTERVAL_S)
                continue
            totals.append(sum(total for total, _ in sizes))
            own.append(sum(anonymous for _, anonymous in sizes))
            handles.append(num_files)
            times.append(time.time())
            if first is None and results.is_file() and results.stat().st_size:
                first = len(times)
            time.sleep(INTERVAL_S)
    printed, said = ((folder / name).read_text(encoding="utf-8", errors="replace") for name in ("output", "errors"))
    last = bisect_right(times, results.stat().st_mtime) if results.is_file() else None
    return Usage(
        process.returncode, printed, said, totals, own, handles, time.monotonic() - started, slice(first, last)
    )
