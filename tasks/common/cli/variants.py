"""Variants of a configuration, named as SETTING=VALUE, and tables of their results: for ``compare`` and ``tune``."""

import csv
import io
from dataclasses import dataclass
from typing import Any

from tasks.common.cli.arguments import no_effect, parse
from tasks.common.cli.flags import as_flag, setting_types, unused_flags, without_flags
from tasks.common.cli.kinds import choose_kinds, settings_of_other_kinds
from tasks.common.config import ModelConfig
from tasks.common.errors import UsageError, unknown_name


def split_values(setting: str) -> list[str]:
    """Split ``a=x,y`` into ``["a=x", "a=y"]``.

    Raises:
        UsageError: for anything else than a setting with its values.
    """
    name, equals, values = setting.partition("=")
    if not equals or "=" in values or not all(values.split(",")):
        raise UsageError(f"--vary {setting}: expected SETTING=VALUE,VALUE,...")
    return [f"{name}={value}" for value in values.split(",")]


def as_flags(variant: tuple[str, ...], config: ModelConfig) -> list[str]:
    """Turn the SETTING=VALUE parts of a variant into flags; a group, like attention, means its first setting.

    Kinds are chosen first, whatever the order of the parts, so that their settings can be varied together with them. A
    setting that only another kind has becomes a flag as well.

    Raises:
        UsageError: for an unknown setting, and for a value of a boolean setting that is not true or false.
    """
    kinds = [part for part in variant if setting_path(part, config).endswith(".kind")]
    for part in kinds:
        config = choose_kinds(config, [f"{as_flag(setting_path(part, config))}={part.split('=')[1]}"])
    flags = []
    for part in variant:
        path, value = setting_path(part, config), part.split("=")[1]
        if setting_types(type(config))[path] is not bool:
            flags += [as_flag(path), value]
        elif value in ("true", "false"):
            group, dot, last = path.rpartition(".")
            flags.append(as_flag(path if value == "true" else f"{group}{dot}no-{last}"))
        else:
            raise UsageError(f"{part}: allowed are true and false")
    return flags


def setting_path(part: str, config: ModelConfig) -> str:
    """Return the setting of a SETTING=VALUE part, which may be named by its group.

    Raises:
        UsageError: for an unknown setting.
    """
    path = part.split("=")[0].replace("-", "_")
    known = setting_types(type(config))
    if path in known:
        return path
    in_group = [name for name in known if name.startswith(f"{path}.")]
    if in_group:
        return in_group[0]
    group, _, last = path.rpartition(".")
    names = [name.removeprefix(f"{group}.") for name in known if name.startswith(f"{group}.")]
    if group and names:
        raise unknown_name(f"{group} setting", last, names)
    raise unknown_name("setting", part.split("=")[0], dict.fromkeys(name.split(".")[0] for name in known))


@dataclass(frozen=True)
class VariantParser:
    """Parses the flags of a command together with those of its variants.

    Attributes:
        options: The dataclass of the options.
        flags: The flags that all variants share.
        program: The name of the command, for the help text.
        default: An instance of the options with the default values.
    """

    options: Any
    flags: list[str]
    program: str
    default: Any

    def parse(self, variant: tuple[str, ...] = ()) -> tuple[Any, dict[str, UsageError]]:
        """Parse the options of a variant, without the flags that only other kinds have.

        Returns:
            The options, and an error for each flag without effect, by its setting.

        Raises:
            UsageError: for any mistake.
        """
        config = self.default.config
        arguments = [*self.flags, *as_flags(variant, config)]
        others = settings_of_other_kinds(choose_kinds(config, arguments), arguments)
        arguments = without_flags(arguments, others, setting_types(type(config)))
        parsed = parse(self.options, arguments, self.program, self.default, refuse_unused=False)
        errors = {name: UsageError(message) for name, message in others.items()}
        for name, reason in unused_flags(parsed, arguments).items():
            errors[name] = no_effect(name, reason, parsed, " in any variant")
        return parsed, errors


def refuse_without_effect(errors: list[dict[str, UsageError]]) -> None:
    """Raise the error of a flag that has no effect in any variant; ``errors`` are those of each variant."""
    for name, error in errors[0].items() if errors else ():
        if all(name in each for each in errors):
            raise error


def to_markdown(rows: list[dict[str, str]]) -> str:
    """Format rows with the same columns as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_csv(rows: list[dict[str, str]]) -> str:
    """Format rows with the same columns as comma-separated values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
