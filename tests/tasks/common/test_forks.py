"""Forked processes end with their parent, even one that is killed."""

import os
import subprocess
import sys

import pytest

PARENT = """
import os, time
from tasks.common.forks import end_forks_with_parent

end_forks_with_parent()
end_forks_with_parent()
if os.fork():
    print("forked", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_process_ends_when_its_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"forked\n"
        parent.kill()
        try:  # the pipe is closed when the last process that has it has ended
            parent.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            pytest.fail("the forked process lives on")
