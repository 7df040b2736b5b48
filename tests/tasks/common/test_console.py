"""Progress is a bar on a terminal and one line elsewhere, always on standard error; a warning is said once."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tasks.common import console as module
from tasks.common.console import stage, warn_once

ROOT = Path(__file__).parents[3]


@pytest.fixture
def terminal(monkeypatch) -> io.StringIO:
    """Make the console a terminal, and return what is written to it."""
    output = io.StringIO()
    monkeypatch.setattr(module, "console", Console(file=output, force_terminal=True, width=100))
    return output


def test_nested_stages_are_bars_of_one_display_that_disappears(terminal, capsys):
    with stage("training", 4) as advance, stage("validating", 2):
        advance(3)
        assert module._bars.progress is not None
        module._bars.progress.refresh()
        print("a result")
    assert module._bars.progress is None
    assert "training" in terminal.getvalue() and "3/4" in terminal.getvalue() and "validating" in terminal.getvalue()
    assert capsys.readouterr().out == "a result\n"  # not drawn into the display, which is on standard error


def test_without_a_terminal_a_long_stage_is_one_line_and_a_short_one_is_silent(monkeypatch, capsys):
    with stage("reading", 3) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(module, "DELAY_S", 0.0)
    with stage("reading", 3000) as advance:
        for thread in module.threading.enumerate():
            if isinstance(thread, module.threading.Timer):
                thread.join()
        advance(3000)
    assert capsys.readouterr() == ("", "reading (3,000) ...\n")


@pytest.mark.parametrize("rank, expected", [("0", "a note\na warning\n"), ("1", "")])
def test_only_the_main_one_of_several_processes_writes(rank, expected):
    code = """
from tasks.common import console as module
module.DELAY_S = 0.0
module.console.print("a note")
module.warn_once("a warning")
module.console._force_terminal = True
with module.stage("reading", 3) as advance:
    advance(3)
"""
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"RANK": rank}, capture_output=True, text=True
    )
    assert finished.returncode == 0
    assert finished.stderr.startswith(expected) and bool(finished.stderr) == bool(expected)


def test_a_warning_is_said_once(capsys):
    for text in ("one warning", "another [warning]", "one warning"):
        warn_once(text)
    assert capsys.readouterr().err == "one warning\nanother [warning]\n"
