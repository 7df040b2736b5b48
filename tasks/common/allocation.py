"""Memory that a program has freed, and that its next tensors may have."""

import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of mallopt, from glibc's malloc.h
NEVER = 2**31 - 1  # bytes at the end of the heap that are given back


def keep_freed_memory() -> None:
    """Let the C library keep memory that was freed, instead of giving it back to the system.

    glibc maps each block of more than 32 MB anew, and smaller ones until it has seen their sizes. The system has to
    find and to clear each page of it, which on a CPU may take longer than what is computed with it. The process keeps
    as much as it has once needed. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if hasattr(ctypes, "RTLD_GLOBAL") else None
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, NEVER)
