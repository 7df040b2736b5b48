"""Typed flags and settings: ``--decoder.ctc-weight`` is the flag of the setting ``decoder.ctc_weight``."""

import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any


def flag_value(arguments: list[str], setting: str) -> str | None:
    """Return the last value of a flag, typed as ``--flag value`` or ``--flag=value``."""
    value = None
    flag = f"--{setting}"
    for place, argument in enumerate(arguments):
        if argument == flag and place + 1 < len(arguments):
            value = arguments[place + 1]
        elif argument.startswith(f"{flag}="):
            value = argument.removeprefix(f"{flag}=")
    return value


def typed_settings(arguments: list[str]) -> list[str]:
    """Return the settings that were typed as flags: ``--decoder.no-copy`` is decoder.copy."""
    names = [argument[2:].partition("=")[0].replace("-", "_") for argument in arguments if argument.startswith("--")]
    return [re.sub(r"(^|\.)no_(?!repeat)", r"\1", name) for name in names]


def unused_flags(options: Any, arguments: list[str]) -> dict[str, str]:
    """Find the typed settings that have no effect given the others, each with the reason."""
    unused = dict(unused_settings(options))
    return {name: unused[name] for name in typed_settings(arguments) if name in unused}


def as_flag(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"


def unused_settings(options: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Collect the settings without effect of all parts of some options, each with the reason."""
    if hasattr(options, "unused_settings"):
        for name, reason in options.unused_settings().items():
            yield f"{prefix}{name}", reason
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            yield from unused_settings(value, prefix if is_flattened(options, field.name) else f"{prefix}{field.name}.")


def is_flattened(options: Any, name: str) -> bool:
    """Tell whether the flags of a nested dataclass have no prefix of their own."""
    hint = typing.get_type_hints(type(options), include_extras=True).get(name)
    metadata = getattr(hint, "__metadata__", ())
    return any(getattr(each, "name", None) == "" for each in metadata)
