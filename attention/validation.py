"""Checks of settings, for the configurations of all packages.

They are defined here because every other package may import this one.
"""

import math
from collections.abc import Mapping
from typing import Any


def check_settings(group: str, config: Any, allowed: Mapping[str, tuple[bool, str]]) -> None:
    """Check the values of a group of settings. Numbers must be finite, which comparisons with a bound need not notice.

    Args:
        group: The name that the settings have in a task's configuration: "attention", "train"; empty if they have none.
        config: The dataclass that holds them.
        allowed: For each setting, whether its value is valid, and a description of the valid values.

    Raises:
        ValueError: for the first invalid value, as ``group.setting``, with the valid values.
    """
    prefix = f"{group}." if group else ""
    for name, value in vars(config).items():
        if isinstance(value, float) and not math.isfinite(value) and name not in allowed:
            raise ValueError(f"{prefix}{name} is {value}; allowed is a finite number")
    for name, (is_valid, values) in allowed.items():
        if not is_valid:
            raise ValueError(f"{prefix}{name} is {getattr(config, name)}; allowed is {values}")


def at_least(minimum: int, config: Any, *names: str) -> dict[str, tuple[bool, str]]:
    """Describe settings with a lower bound, for ``check_settings``."""
    return {name: (minimum <= getattr(config, name) < math.inf, f"{minimum} or more") for name in names}


def share(config: Any, *names: str) -> dict[str, tuple[bool, str]]:
    """Describe settings that are a share of something, but not all of it, for ``check_settings``."""
    return {name: (0 <= getattr(config, name) < 1, "at least 0 and below 1") for name in names}


def heads_divide(hidden_dim: int, num_heads: int, positions: str) -> tuple[bool, str]:
    """Describe a valid number of self-attention heads, for ``check_settings``: rotary positions need even heads."""
    if positions == "rotary":
        return hidden_dim % (2 * num_heads) == 0, f"a divisor of half of hidden_dim, {hidden_dim}"
    return hidden_dim % num_heads == 0, f"a divisor of hidden_dim, {hidden_dim}"
