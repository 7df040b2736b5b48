"""Memory that a program has freed, and that its next tensors may have."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of mallopt, from glibc's malloc.h
NEVER = -1


def keep_freed_memory() -> None:
    """Let glibc keep memory that was freed, instead of giving it back to the system. Other C libraries are left alone.

    glibc maps each block of more than 32 MB anew, and smaller ones until it has seen their sizes. The system has to
    find and to clear each page of it, which on a CPU may take longer than what is computed with it. The process then
    takes as much as it has once needed, and somewhat more. In other threads than the first one, blocks of more than
    64 MB are still mapped.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, NEVER)
