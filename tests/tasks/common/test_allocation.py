"""Memory that was freed stays with the process."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.common.allocation import keep_freed_memory

ROOT = Path(__file__).parents[3]
BLOCKS = """
import resource, sys
from tasks.common.allocation import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
import torch
for _ in range(16):  # until the heap is as large as it needs to be
    block = torch.zeros(2**24)  # 64 MB, which glibc maps by itself
    del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    block = torch.zeros(2**24)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_a_block_that_was_freed_is_not_made_of_new_pages_again():
    settings = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "THP_MEM_ALLOC_ENABLE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(settings)}

    def new_pages(how):
        command = [sys.executable, "-c", BLOCKS, how]
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert 10 * new_pages("kept") < new_pages("mapped")


def test_other_systems_are_left_as_they_are(monkeypatch):
    def fail(name):
        raise TypeError("Windows has no library of this name")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", fail)
    keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # a C library without mallopt, such as musl
    keep_freed_memory()
