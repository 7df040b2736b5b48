"""Checks of settings, for the configurations of all packages.

They are defined here because every other package may import this one.
"""

from collections.abc import Mapping
from typing import Any


def check_settings(group: str, config: Any, allowed: Mapping[str, tuple[bool, str]]) -> None:
    """Check the values of a group of settings.

    Args:
        group: The name that the settings have in a task's configuration: "attention", "train".
        config: The dataclass that holds them.
        allowed: For each setting, whether its value is valid, and a description of the valid values.

    Raises:
        ValueError: for the first invalid value, as ``group.setting``, with the valid values.
    """
    for name, (is_valid, values) in allowed.items():
        if not is_valid:
            raise ValueError(f"{group}.{name} is {getattr(config, name)}; allowed is {values}")


def at_least(minimum: int, config: Any, *names: str) -> dict[str, tuple[bool, str]]:
    """Describe settings with a lower bound, for ``check_settings``."""
    return {name: (getattr(config, name) >= minimum, f"{minimum} or more") for name in names}


def heads_divide(hidden_dim: int, num_heads: int, positions: str) -> tuple[bool, str]:
    """Describe a valid number of self-attention heads, for ``check_settings``: rotary positions need even heads."""
    if positions == "rotary":
        return hidden_dim % (2 * num_heads) == 0, f"a divisor of half of hidden_dim, {hidden_dim}"
    return hidden_dim % num_heads == 0, f"a divisor of hidden_dim, {hidden_dim}"
