"""Memory that was freed stays with the process."""

import subprocess
import sys

import pytest

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


@pytest.mark.skipif(sys.platform != "linux", reason="the system's count of new pages")
def test_a_block_that_was_freed_is_not_made_of_new_pages_again():
    def new_pages(how):
        run = subprocess.run([sys.executable, "-c", BLOCKS, how], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert new_pages("kept") < 1000
    assert new_pages("mapped") > 4000  # or the test above says nothing about the setting
