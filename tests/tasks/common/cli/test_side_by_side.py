"""Work in several processes: results as they are finished, labels on the console, and errors."""

import time

import pytest

from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.console import console
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


@every_number_of_cores
def test_an_error_ends_the_work_with_its_message(cores):
    with pytest.raises(UsageError, match="one can't be used"):
        list(run_side_by_side(fail, ["one"] * 3, cores=cores))
