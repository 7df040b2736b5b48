"""Kinds of decoders and encoders on the command line.

The settings of each kind are a dataclass of their own, and a configuration holds one of them. So the flags of a command
are those of the chosen kinds, and a flag of another kind is refused by name.
"""

import dataclasses
import re
import typing
from collections.abc import Iterator
from typing import Any

from attention.config import AttentionConfig
from tasks.common.cli.flags import flag_value, options_of, setting_types, typed_settings
from tasks.common.errors import unknown_name


def choose_kinds(config: Any, arguments: list[str]) -> Any:
    """Replace each part of a configuration whose kind is named by a flag with one of that kind.

    Settings that both kinds have keep their values. Attention settings come and go with decoders that use them. The new
    part is not validated: other flags may change its values first.
    """
    for path, options in kinds_of(type(config)):
        current = get_setting(config, path)
        chosen = flag_value(arguments, f"{group_of(path)}.kind")
        if chosen is None or chosen == current.kind:
            continue
        by_kind = {kind_of(option): option for option in options}
        if chosen not in by_kind:
            raise unknown_name(f"{group_of(path)}.kind", chosen, by_kind)
        config = replace_setting(config, path, convert(current, by_kind[chosen]))
    if hasattr(config, "attention"):
        has_attention = config.attention is not None
        if config.decoder.uses_attention != has_attention:
            attention = None if has_attention else AttentionConfig()
            config = dataclasses.replace(config, attention=attention)
    return config


def convert(config: Any, kind: Any) -> Any:
    """Return settings of another kind with the values that both have, without validating them."""
    converted = object.__new__(kind)
    for field in dataclasses.fields(kind):
        value = field.default if field.name == "kind" else getattr(config, field.name, field.default)
        object.__setattr__(converted, field.name, value)
    return converted


def settings_of_other_kinds(config: Any, arguments: list[str]) -> dict[str, str]:
    """Find the typed settings that exist, but not with the chosen kinds, each with an error message."""
    found: dict[str, str] = {}
    typed = typed_settings(arguments, setting_types(type(config)))
    for path, options in kinds_of(type(config)):
        group = group_of(path)
        current = get_setting(config, path)
        for name in typed:
            setting = name.removeprefix(f"{group}.")
            kinds = [kind_of(option) for option in options if setting in field_names(option)]
            if name.startswith(f"{group}.") and kinds and current.kind not in kinds:
                found[name] = (
                    f"{name} is a setting of {group}.kind {', '.join(kinds)}, and {group}.kind is {current.kind}: "
                    "leave it out, or choose another kind"
                )
    if getattr(config, "attention", ...) is None:
        reason = f"has no effect: decoder.kind {config.decoder.kind} has no attention"
        found |= {name: f"{name} {reason}" for name in typed if name.startswith("attention.")}
    return found


def show_all_kinds(text: str, config: Any) -> str:
    """Replace the one kind that the parser knows, as in ``--decoder.kind {recurrent}``, by all kinds.

    A line of the help text, which has a frame, is broken after a comma where it becomes too long.
    """
    for path, options in kinds_of(type(config)):
        flag = f"--{group_of(path)}.kind"
        choices = f"{flag} {{{','.join(map(kind_of, options))}}}"

        def frame(match: re.Match[str], choices: str = choices) -> str:
            width = len(match[0]) - len(match["left"]) - len(match["right"])
            cut = len(choices) if len(choices) <= width else choices.rindex(",", 0, width) + 1
            lines = [choices[:cut], *([f"    {choices[cut:]}"] if cut < len(choices) else [])]
            return "\n".join(match["left"] + line.ljust(width) + match["right"] for line in lines)

        text = re.sub(rf"(?m)^(?P<left>. ){flag} \{{\w+\}} *(?P<right> .)$", frame, text)
        text = re.sub(rf"{flag} \{{\w+\}}", choices, text)
    return text


def kinds_of(config_class: Any, prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Find the settings of a configuration that are a union of dataclasses: their path and the options."""
    for field in dataclasses.fields(config_class):
        hint = typing.get_type_hints(config_class)[field.name]
        options = [option for option in options_of(hint) if dataclasses.is_dataclass(option)]
        if len(options) > 1 or (options and "kind" in field_names(options[0]) and len(options_of(hint)) > 1):
            yield f"{prefix}{field.name}", options
        elif options:
            yield from kinds_of(options[0], f"{prefix}{field.name}.")


def group_of(path: str) -> str:
    """Return the group of flags of a part: decoder itself, and encoder for encoder.sequence, which has no prefix."""
    return path.rpartition(".")[0] or path


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
