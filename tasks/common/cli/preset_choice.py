"""The preset that a command has chosen or that fits the data, and the columns of these."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tasks
from tasks.common.cli.flags import flag_value
from tasks.common.config import ModelConfig
from tasks.common.console import console
from tasks.common.data.pair_names import guess_pair, pair_names
from tasks.common.errors import unknown_name


@dataclass(frozen=True)
class Preset:
    """The preset that a command has chosen, and the flags that change it.

    Attributes:
        name: Its name.
        flags: The flags of the command.
        build: Builds its configuration; ``num_examples`` is a parameter of one that depends on their number.
        columns: The settings source and target of the user's data, if they were guessed.
        num_examples: The number of training examples; None if it is not known, or makes no difference.
    """

    name: str
    flags: list[str]
    build: Callable[..., ModelConfig]
    columns: Mapping[str, str] = field(default_factory=dict)
    num_examples: int | None = None

    @property
    def config(self) -> ModelConfig:
        """The configuration without the flags."""
        made = self.build() if self.num_examples is None else self.build(self.num_examples)
        columns: Any = self.columns
        return dataclasses.replace(made, **columns)

    def fit(self, task: str, config: ModelConfig) -> "Preset":
        """Return the preset for the number of training examples that a configuration of the task loads.

        It is the same object if it does not depend on their number.
        """
        if "num_examples" not in inspect.signature(self.build).parameters:
            return self
        return dataclasses.replace(self, num_examples=len(tasks.task_class(task)(config).load("train")))


def choose_preset(task: str, arguments: list[str]) -> Preset:
    """Split the arguments into the preset and the flags, and tell what is chosen for data of the user's own.

    If no preset is named it is small where --data is given, and otherwise demo, or the task's first.

    Args:
        task: The name of the task.
        arguments: The preset, if it is named, and the flags.
    """
    presets = tasks.package(task).PRESETS
    is_named = bool(arguments) and not arguments[0].startswith("-")
    flags = arguments[1:] if is_named else arguments
    data = flag_value(flags, "data")
    usual = ("demo",) if data is None else ("small", "demo")
    name = arguments[0] if is_named else next((name for name in usual if name in presets), next(iter(presets)))
    if name in presets:
        build = presets[name]
    elif ":" in name and hasattr(tasks.package(task), "compose"):
        build = functools.partial(tasks.package(task).compose, name)
    else:
        raise unknown_name("preset", name, presets)
    preset = Preset(name, flags, build)
    continues = "--resume" in flags or flag_value(flags, "init-from") is not None
    if data is not None and not continues and {"-h", "--help"}.isdisjoint(flags):
        columns, direction = choose_columns(preset.config, data, flags)
        others = ", ".join(other for other in presets if other != name)
        told = [] if is_named else [f"preset {name} (others: {others})"]
        if told or columns:
            console.print("; ".join(told + direction))
        preset = dataclasses.replace(preset, columns=columns)
    return preset


def choose_columns(config: ModelConfig, data: str, flags: list[str]) -> tuple[dict[str, str], list[str]]:
    """Guess source and target of data on this machine, where they are settings and not typed.

    Returns:
        The settings that are others than those of the configuration, and what to tell about the direction.
    """
    if not {"source", "target"} <= {field.name for field in dataclasses.fields(config)}:
        return {}, []
    given = {name: flag_value(flags, name) or getattr(config, name) for name in ("source", "target")}
    is_typed = [flag_value(flags, name) is not None for name in given]
    names = [] if all(is_typed) else pair_names(data, **given)  # none for a hub dataset
    guess = guess_pair(names, **given) if names else None
    if guess is None or guess == tuple(given.values()):
        is_known = guess is not None or not names
        return {}, [" -> ".join(given.values())] if is_known else []
    told = f"{' -> '.join(guess)}, of {', '.join(names)} in {data} (--source and --target choose others)"
    return dict(zip(given, guess, strict=True)), [told]
