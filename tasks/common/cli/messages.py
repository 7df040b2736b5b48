"""Error messages for the command line: settings are shown as flags."""

import re
from collections.abc import Iterable
from typing import Any

from tasks.common.cli.flags import as_flag, setting_types


def with_flags(message: str, config_class: Any, typed: Iterable[str] = (), *, flat: str | None = None) -> str:
    """Replace settings in a message, like ``decoder.ctc_weight``, by their flags, ``--decoder.ctc-weight``.

    Settings of a group are replaced anywhere but in quotes, in paths and in what the user has typed; a setting without
    a group, whose name is a word like any other, is replaced only at the beginning: "source is ...".

    Args:
        message: An error message.
        config_class: The configuration whose settings are replaced.
        typed: The arguments of the command.
        flat: A group whose flags have no prefix in this command, like search in ``evaluate``.
    """
    settings = set(setting_types(config_class))
    values = {each for each in typed if not each.startswith("--")}
    values |= {each.partition("=")[2] for each in typed if each.startswith("--")} - {""}
    quoted = r"(?<!\w)'[^']*'(?!\w)|(?<!\w)\"[^\"]*\"(?!\w)"
    kept = "|".join([quoted, *(rf"(?<![\w.-]){re.escape(value)}(?![\w.-])" for value in sorted(values, key=len)[::-1])])

    def as_shown(match: re.Match[str]) -> str:
        name = match["setting"]
        nested = [setting for setting in settings if setting.endswith(f".{name}")]  # sound.encoder.size as encoder.size
        setting = nested[0] if name not in settings and len(nested) == 1 else name
        return as_flag(setting.removeprefix(f"{flat}.")) if setting in settings else match[0]

    message = re.sub(rf"{kept}|(?<![\w./-])(?P<setting>[a-z]\w*(?:\.\w+)+)(?![\w/=-]|\.\w)", as_shown, message)
    first = re.match(r"(\w+)(?: and (\w+))?(?= (?:is|are)\b)", message)
    if flat is None and first and settings.union([None]).issuperset(first.groups()) and first[1] not in values:
        message = " and ".join(as_flag(name) for name in first.groups() if name) + message[first.end() :]
    return message
