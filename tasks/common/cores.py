"""The processor cores of this process."""

import os
import sys

LIMIT = "PYTHON_CPU_COUNT"  # Python's own variable, which Python reads itself from 3.13 on, when it starts


def count_cores() -> int:
    """Count the cores that this process may use: its share, or those that containers and CPU affinity leave to it."""
    if os.environ.get(LIMIT, "").isdigit():
        return max(1, int(os.environ[LIMIT]))
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # on Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_cores(count: int) -> None:
    """Leave so many cores to this process and to those that it starts."""
    os.environ[LIMIT] = str(count)
