"""Work in several processes: results as they are finished, labels on the console, and errors."""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.console import console
from tasks.common.cores import count_cores
from tasks.common.errors import UsageError

every_number_of_cores = pytest.mark.parametrize("cores", [1, 2])


def greet(name: str, delays: dict[str, float]) -> str:
    time.sleep(delays[name])
    console.print(f"hello from [{name}]\nand goodbye", markup=False)
    return name.upper()


def fail(name: str) -> None:
    raise UsageError(f"{name} can't be used")


@every_number_of_cores
def test_results_come_as_they_are_finished_and_console_lines_have_labels(cores, capfd):
    delays = {"slow": 1.0 if cores > 1 else 0.0, "quick": 0.0}
    found = list(run_side_by_side(greet, ["slow", "quick"], delays, cores=cores))
    assert sorted(found) == [("quick", "QUICK"), ("slow", "SLOW")]
    assert found[0][0] == ("quick" if cores > 1 else "slow")
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("slow ")] == ["slow   hello from [slow]", "slow   and goodbye"]
    assert [line for line in lines if line.startswith("quick")] == ["quick  hello from [quick]", "quick  and goodbye"]


def own_cores(name: str) -> int:
    return count_cores()


@pytest.mark.usefixtures("forked_side_by_side")
def test_each_call_has_its_share_of_the_cores():
    assert dict(run_side_by_side(own_cores, ["one", "other"], cores=6)) == {"one": 3, "other": 3}


def write_id_and_wait(name: str, folder: Path) -> None:
    (folder / name).write_text(str(os.getpid()))
    time.sleep(60)


def test_processes_end_with_their_parent(tmp_path):
    names = ["one", "two"]
    parent = get_context("spawn").Process(
        target=collect, args=(run_side_by_side, write_id_and_wait, names, tmp_path), kwargs={"cores": 2}
    )
    parent.start()
    wait_until(lambda: all((tmp_path / name).is_file() and (tmp_path / name).read_text() for name in names))
    parent.kill()
    parent.join()
    wait_until(lambda: not any(psutil.pid_exists(int((tmp_path / name).read_text())) for name in names))


def collect(function: Callable, *arguments: Any, **settings: Any) -> None:
    list(function(*arguments, **settings))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("forked_side_by_side")
@every_number_of_cores
def test_an_error_ends_the_work_with_its_message(cores):
    with pytest.raises(UsageError, match="one can't be used"):
        list(run_side_by_side(fail, ["one"] * 3, cores=cores))


def fail_or_wait(name: str, folder: Path) -> None:
    """Fail as soon as the other call waits; this one writes a file when it is told to stop, as a training does."""
    if name == "fails":
        wait_until((folder / "waits").exists)
        raise UsageError(f"{name} can't be used")

    def stop(number: int, _: Any) -> None:
        (folder / "saved").touch()
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    (folder / "waits").touch()
    time.sleep(600)


@pytest.mark.usefixtures("forked_side_by_side")
@pytest.mark.skipif(os.name == "nt", reason="on Windows, no process can react to its end")
def test_an_error_stops_the_other_calls_which_save_what_they_have(tmp_path):
    started = time.monotonic()
    with pytest.raises(UsageError, match="fails can't be used"):
        list(run_side_by_side(fail_or_wait, ["fails", "waits"], tmp_path, cores=2))
    assert time.monotonic() - started < 300
    assert (tmp_path / "saved").exists()


def leave(name: str) -> None:
    if name == "killed":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    raise SystemExit(3)


@pytest.mark.usefixtures("forked_side_by_side")
@pytest.mark.skipif(os.name == "nt", reason="on Windows, a killed process has the exit code that its killer chose")
def test_a_call_that_leaves_or_is_killed_ends_the_work():
    with pytest.raises(SystemExit) as exited:
        list(run_side_by_side(leave, ["leaves", "leaves too"], cores=2))
    assert exited.value.code == 3
    with pytest.raises(UsageError, match="killed: its process was killed by signal 15"):
        list(run_side_by_side(leave, ["killed", "killed"], cores=2))
