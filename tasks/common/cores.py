"""The processor cores of this process."""

import os
import sys


def count_cores() -> int:
    """Count the cores that this process may use, which containers and CPU affinity limit to some of the machine's."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
