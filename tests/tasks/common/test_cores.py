"""The cores that a process may use are those of its affinity."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the affinity of a process can be set on Linux alone")
def test_a_process_that_is_limited_to_one_core_has_one():
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
    code += "from tasks.common.cores import count_cores; print(count_cores())"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "1\n"
