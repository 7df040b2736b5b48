"""Kinds of decoders and encoders on the command line.

The settings of each kind are a dataclass of their own, and a configuration holds one of them. So the flags of a command
are those of the chosen kinds, and a flag of another kind is refused by name.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

from attention.config import AttentionConfig
from tasks.common.cli.flags import flag_value, typed_settings
from tasks.common.errors import UsageError, unknown_name


def choose_kinds(config: Any, arguments: list[str]) -> Any:
    """Replace each part of a configuration whose kind is named by a flag with one of that kind.

    Settings that both kinds have keep their values. Attention settings come and go with decoders that use them.
    """
    for path, options in kinds_of(type(config)):
        current = get_setting(config, path)
        chosen = flag_value(arguments, ".".join([path.split(".")[0], "kind"]))
        if chosen is None or chosen == current.kind:
            continue
        by_kind = {kind_of(option): option for option in options}
        if chosen not in by_kind:
            raise unknown_name(f"{path.split('.')[0]}.kind", chosen, by_kind)
        option = by_kind[chosen]
        names = {field.name for field in dataclasses.fields(option)} - {"kind"}
        shared = {name: getattr(current, name) for name in names if hasattr(current, name)}
        config = replace_setting(config, path, option(**shared))
    if hasattr(config, "attention"):
        has_attention = config.attention is not None
        if config.decoder.uses_attention != has_attention:
            attention = None if has_attention else AttentionConfig()
            config = dataclasses.replace(config, attention=attention)
    return config


def refuse_other_kinds(config: Any, arguments: list[str]) -> None:
    """Raise UsageError for a flag that exists, but not with the chosen kinds."""
    typed = typed_settings(arguments)
    for path, options in kinds_of(type(config)):
        group = path.split(".")[0]
        current = get_setting(config, path)
        for name in typed:
            if not name.startswith(f"{group}."):
                continue
            setting = name.removeprefix(f"{group}.")
            kinds = [kind_of(option) for option in options if setting in field_names(option)]
            if kinds and current.kind not in kinds:
                raise UsageError(
                    f"{group}.{setting} is a setting of {group}.kind {', '.join(kinds)}, and {group}.kind is "
                    f"{current.kind}: leave it out, or choose another kind"
                )
    if getattr(config, "attention", ...) is None:
        for name in typed:
            if name.startswith("attention."):
                raise UsageError(f"{name} has no effect: decoder.kind {config.decoder.kind} has no attention")


def kinds_of(config_class: Any, prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Find the settings of a configuration that are a union of dataclasses: their path and the options."""
    for field in dataclasses.fields(config_class):
        hint = typing.get_type_hints(config_class)[field.name]
        options = [option for option in options_of(hint) if dataclasses.is_dataclass(option)]
        if len(options) > 1 or (options and "kind" in field_names(options[0]) and len(options_of(hint)) > 1):
            yield f"{prefix}{field.name}", options
        elif options:
            yield from kinds_of(options[0], f"{prefix}{field.name}.")


def options_of(hint: Any) -> list[Any]:
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return list(typing.get_args(hint)) if is_union else [hint]


def kind_of(option: Any) -> str:
    return next(str(field.default) for field in dataclasses.fields(option) if field.name == "kind")


def field_names(config_class: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(config_class)}


def get_setting(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


def replace_setting(config: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    inner = replace_setting(getattr(config, name), rest, value) if rest else value
    return dataclasses.replace(config, **{name: inner})
