"""Error messages for the command line: settings are shown as flags."""

import dataclasses
import re
import typing
from typing import Any

from tasks.common.cli.flags import as_flag
from tasks.common.cli.kinds import options_of


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
