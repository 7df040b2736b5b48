"""The peak of memory in a part of a program: of the process on a CPU, of the tensors on a GPU.

It imports nothing of this project, so that other toolkits can be measured with it.
"""

import resource
import sys
import threading
from pathlib import Path

import torch

INTERVAL_S = 0.005  # between two samples of a process
STATUS = Path("/proc/self/statm")  # on Linux


class PeakMemory:
    """Measures what happens inside of ``with``.

    Attributes:
        num_bytes: The greatest resident memory of this process, sampled, its libraries included; or the most bytes that
            the tensors on a GPU take. Set at the end.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.num_bytes = 0
        self.is_done = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self.sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.num_bytes = torch.cuda.max_memory_allocated(self.device)
        else:
            self.is_done.set()
            self.sampler.join()

    def sample(self) -> None:
        while True:
            self.num_bytes = max(self.num_bytes, resident_bytes())
            if self.is_done.wait(INTERVAL_S):
                return


def resident_bytes() -> int:
    """Return the resident memory of this process; where the system has no file of it, its peak since the start."""
    if STATUS.is_file():
        return int(STATUS.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
