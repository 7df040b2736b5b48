"""Settings of all tasks: numbers that are none, or infinite, are refused by name."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import tasks
from tasks import run
from tasks.common.cli.flags import options_of


def parts_of(config_class: Any) -> Iterator[Any]:
    """All dataclasses that a configuration is made of, of every kind."""
    yield config_class
    for hint in typing.get_type_hints(config_class).values():
        for option in options_of(hint):
            if dataclasses.is_dataclass(option):
                yield from parts_of(option)


def float_settings() -> list[tuple[Any, str]]:
    parts = {part: None for name in run.TASKS for part in parts_of(tasks.package(name).Config)}
    return [
        (part, field.name)
        for part in parts
        for field in dataclasses.fields(part)
        if float in options_of(typing.get_type_hints(part)[field.name])
    ]


def test_all_settings_are_found():
    names = {name for _, name in float_settings()}
    assert {"dropout", "lr", "max_minutes", "temperature", "stutter", "window_s"} <= names


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "part, name", float_settings(), ids=[f"{part.__name__}.{name}" for part, name in float_settings()]
)
def test_a_setting_that_is_not_a_finite_number_is_refused_by_name(part, name, value):
    with pytest.raises(ValueError, match=rf"\b{name} is {value}.*allowed is"):
        part(**{name: value})


@pytest.mark.parametrize("name", run.TASKS)
def test_every_dropout_rate_is_at_least_0_and_below_1(name):
    for part in parts_of(tasks.package(name).Config):
        if "dropout" in {field.name for field in dataclasses.fields(part)}:
            for value in (-0.1, 1.0):
                with pytest.raises(ValueError, match=f"dropout is {value}"):
                    part(dropout=value)
