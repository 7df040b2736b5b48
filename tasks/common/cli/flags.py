"""Typed flags and settings: ``--decoder.ctc-weight`` is the flag of the setting ``decoder.ctc_weight``."""

import dataclasses
import functools
import types
import typing
from collections.abc import Collection, Iterator
from typing import Any


def as_flag(setting: str) -> str:
    return f"--{setting.replace('_', '-')}"


def flag_value(arguments: list[str], setting: str) -> str | None:
    """Return the last value of a flag, typed as ``--flag value`` or ``--flag=value``; None also for ``None``."""
    value = None
    for place, argument in enumerate(arguments):
        typed, equals, rest = argument.partition("=")
        if as_flag(typed.removeprefix("--")) == as_flag(setting) and typed.startswith("--"):
            value = rest if equals else "".join(arguments[place + 1 : place + 2])
    return None if value == "None" else value


def typed_settings(arguments: list[str], types_by_setting: dict[str, Any]) -> list[str]:
    """Return the settings that were typed as flags; ``--decoder.no-copy`` is the boolean setting decoder.copy.

    Args:
        arguments: The flags and their values.
        types_by_setting: The type of each setting of the command.
    """
    return [setting_of(argument, types_by_setting) for argument in arguments if argument.startswith("--")]


def without_flags(arguments: list[str], settings: Collection[str], types_by_setting: dict[str, Any]) -> list[str]:
    """Return the arguments without the flags of some settings and their values."""
    kept, is_kept = [], True
    for argument in arguments:
        if argument.startswith("--"):
            is_kept = setting_of(argument, types_by_setting) not in settings
        if is_kept:
            kept.append(argument)
    return kept


def setting_of(flag: str, types_by_setting: dict[str, Any]) -> str:
    name = flag.removeprefix("--").partition("=")[0].replace("-", "_")
    group, dot, last = name.rpartition(".")
    positive = f"{group}{dot}{last.removeprefix('no_')}"
    return positive if types_by_setting.get(positive) is bool else name


def unused_flags(options: Any, arguments: list[str]) -> dict[str, str]:
    """Find the typed settings that have no effect given the others, each with the reason."""
    unused = dict(unused_settings(options))
    return {name: unused[name] for name in typed_settings(arguments, setting_types_of(options)) if name in unused}


def unused_settings(options: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Collect the settings without effect of all parts of some options, each with the reason."""
    if hasattr(options, "unused_settings"):
        for name, reason in options.unused_settings().items():
            yield f"{prefix}{name}", reason
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            yield from unused_settings(value, prefix if is_flattened(options, field.name) else f"{prefix}{field.name}.")


def setting_types_of(options: Any) -> dict[str, Any]:
    """Return the type of each setting of the options of a command, whose parts may be of generic types."""
    found = setting_types(type(options))
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            found = found | setting_types(type(value), "" if is_flattened(options, field.name) else f"{field.name}.")
    return found


@functools.cache
def setting_types(config_class: Any, prefix: str = "") -> dict[str, Any]:
    """Return the type of each setting of a configuration, by its dotted path, for all kinds of its parts."""
    found: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(config_class, include_extras=True).items():
        if typing.get_origin(hint) is typing.ClassVar or not is_field(config_class, name):
            continue
        bare = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        parts = [option for option in options_of(bare) if dataclasses.is_dataclass(option)]
        for part in parts:
            found |= setting_types(part, prefix if has_empty_name(hint) else f"{prefix}{name}.")
        if not parts:
            found[f"{prefix}{name}"] = bare
    return found


def is_field(config_class: Any, name: str) -> bool:
    return any(field.name == name for field in dataclasses.fields(config_class))


def options_of(hint: Any) -> list[Any]:
    """Return the members of a union, or the type itself."""
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return list(typing.get_args(hint)) if is_union else [hint]


def is_flattened(options: Any, name: str) -> bool:
    """Tell whether the flags of a nested dataclass have no prefix of their own."""
    return has_empty_name(typing.get_type_hints(type(options), include_extras=True).get(name))


def has_empty_name(hint: Any) -> bool:
    return any(getattr(each, "name", None) == "" for each in getattr(hint, "__metadata__", ()))
