"""Variants of a configuration, named as SETTING=VALUE, and tables of their results: for ``compare`` and ``tune``."""

import csv
import dataclasses
import io
from typing import Any

from tasks.common.cli.flags import is_flattened
from tasks.common.config import Config
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


def as_flags(variant: tuple[str, ...], config: Config) -> list[str]:
    """Turn the SETTING=VALUE parts of a variant into flags; a group, like attention, means its first setting.

    Raises:
        UsageError: for an unknown setting, and for a value of a boolean setting that is not true or false.
    """
    flags = []
    for part in variant:
        path, value = part.split("=")
        names = path.replace("-", "_").split(".")
        current: Any = config
        for name in names:
            settings = all_settings(current)
            if name not in settings:
                raise unknown_name("setting", path, settings)
            current = settings[name]
        if dataclasses.is_dataclass(current):
            first, current = next(iter(all_settings(current).items()))
            names.append(first)
        *group, last = (name.replace("_", "-") for name in names)
        if isinstance(current, bool):
            if value not in ("true", "false"):
                raise UsageError(f"{part}: allowed are true and false")
            flags.append("--" + ".".join([*group, last if value == "true" else f"no-{last}"]))
        else:
            flags += ["--" + ".".join([*group, last]), value]
    return flags


def all_settings(config: Any) -> dict[str, Any]:
    """Return the settings of a configuration by name, those of flattened parts among them."""
    if not dataclasses.is_dataclass(config):
        return {}
    settings: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        settings |= all_settings(value) if is_flattened(config, field.name) else {field.name: value}
    return settings


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
