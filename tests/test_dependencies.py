"""The versions that `make` installs are allowed by pyproject.toml, and they are all there."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [
    Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "#" not in line
]


def requirements_of(extra: str) -> list[Requirement]:
    """Return what an extra brings, with the extras of ours that it names."""
    found = []
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if requirement.name == PROJECT["name"]:
            found += [each for inner in sorted(requirement.extras) for each in requirements_of(inner)]
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize(
    "requirement",
    [*map(Requirement, PROJECT["dependencies"]), *requirements_of("dev"), *requirements_of("docs")],
    ids=lambda each: each.name,
)
def test_the_locked_version_is_within_the_bounds(requirement: Requirement):
    pins = [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(requirement.name)]
    assert pins, f"{requirement.name} is not in constraints.txt: make lock"
    for pin in pins:
        assert requirement.specifier.contains(str(pin.specifier).removeprefix("==")), f"{pin}: make lock"


def test_each_line_of_the_lock_is_one_version_and_no_address():
    assert all(str(pin.specifier).startswith("==") and pin.url is None for pin in PINS)
