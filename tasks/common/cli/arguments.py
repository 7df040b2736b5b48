"""Command-line flags from dataclasses, by tyro. Every mistake becomes one line.

Kinds of decoders and encoders (``decoder.kind``, ``encoder.kind``) are dataclasses with settings of their own, so the
flags of a command are those of the chosen kinds. A flag of another kind, and a flag that would have no effect with the
others, is refused by name.
"""

import contextlib
import dataclasses
import io
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tyro

from attention.config import AttentionConfig
from tasks.common.errors import UsageError, unknown_name


def parse(options: Any, arguments: list[str], program: str, default: Any, *, refuse_unused: bool = True) -> Any:
    """Parse flags into the dataclass ``options``. ``--help`` prints the flags and exits.

    Args:
        options: The dataclass, or a generic alias of it.
        arguments: The flags.
        program: The name of the command, for the help text.
        default: An instance with the default values; its field ``config``, if it has one, is a task's configuration,
            in which the kinds named by the flags are chosen first.
        refuse_unused: Whether flags without effect are refused.

    Raises:
        UsageError: for any mistake.
    """
    output = io.StringIO()
    try:
        if hasattr(default, "config"):
            default = dataclasses.replace(default, config=choose_kinds(default.config, arguments))
        with contextlib.redirect_stderr(output):
            parsed = tyro.cli(
                options, default=default, args=arguments, prog=program, config=(tyro.conf.AvoidSubcommands,)
            )
    except UsageError:
        raise
    except ValueError as error:  # raised by a configuration about its own values
        raise UsageError(str(error)) from error
    except SystemExit as exit:
        if not exit.code:
            raise
    else:
        if refuse_unused:
            for name, reason in unused_flags(parsed, arguments).items():
                raise UsageError(f"{as_flag(name)} has no effect: {reason}")
        return parsed
    if hasattr(default, "config"):
        refuse_other_kinds(default.config, arguments)
    # tyro explains a mistake in a frame of several lines.
    words = " ".join(re.sub(r"[─│╭╮╰╯]+|-{3,}", " ", output.getvalue()).split())
    words = re.sub(r"For full helptext, (run|see) .*", "", words)
    words = re.sub(r"^(Value error|Invalid choice|Unrecognized options|Parsing error) ", "", words)
    raise UsageError(re.sub(r"^Error parsing [\w.]+: ", "", words).strip())


def parse_run_argument(command: str, arguments: list[str], options: Any, default: Any) -> tuple[Path, list[str]]:
    """Split the arguments of a command into the run folder and the flags, which are those of ``options``."""
    if not arguments:
        raise UsageError(f"{command} needs a run folder: run.py TASK {command} RUN")
    if arguments[0] in ("-h", "--help"):
        parse(options, ["--help"], f"run.py TASK {command} RUN", default)
    return Path(arguments[0]), arguments[1:]


# ── Kinds ───────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── Typed flags ─────────────────────────────────────────────────────────────────────────────────────────────


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


# ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────


def with_flags(message: str, config_class: Any, *, flat: str | None = None) -> str:
    """Replace settings in a message, like ``decoder.ctc_weight``, by their flags, ``--decoder.ctc-weight``.

    Args:
        message: An error message.
        config_class: The configuration whose settings are replaced.
        flat: A group whose flags have no prefix in this command, like search in ``evaluate``.
    """
    for path in sorted(setting_paths(config_class), key=len, reverse=True):
        flag = path.removeprefix(f"{flat}.") if flat else path
        # Not in what the user has typed as a setting: --vary train.lr=1,2.
        typed = r"(?<![\w./-])(?<!--vary )(?<!--space )"
        message = re.sub(rf"{typed}{re.escape(path)}(?![\w=-])", as_flag(flag), message)
    return message


def setting_paths(config_class: Any, prefix: str = "") -> set[str]:
    """Collect the dotted paths of all settings of a configuration, of all kinds."""
    hints = typing.get_type_hints(config_class, include_extras=True)
    paths: set[str] = set()
    for field in dataclasses.fields(config_class):
        hint = hints[field.name]
        is_flat = any(getattr(each, "name", None) == "" for each in getattr(hint, "__metadata__", ()))
        bare = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        options = [option for option in options_of(bare) if dataclasses.is_dataclass(option)]
        for option in options:
            paths |= setting_paths(option, prefix if is_flat else f"{prefix}{field.name}.")
        if not options and prefix:
            paths.add(f"{prefix}{field.name}")
    return paths
