"""The configuration of a joint model: the settings that all tasks share, and those of each.

Which tasks there are depends on the preset, so the class of a configuration is made of those of the tasks: each has all
settings of its own but the shared ones, under its name: --translation.data, --image-captioning.encoder.size.
"""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import docstring_parser

import tasks
from attention.validation import at_least, check_settings
from tasks.common.cli.flags import as_flag
from tasks.common.config import Config, ModelConfig
from tasks.common.errors import UsageError, unknown_name

TASKS = tuple(name for name in tasks.TASKS if name != "joint")  # those that can be parts
SHARED = tuple(field.name for field in dataclasses.fields(ModelConfig))


@dataclass(frozen=True, kw_only=True)
class JointConfig(ModelConfig):
    """Settings of a joint model. ``class_of_parts`` makes the subclass that has the settings of some tasks as well."""

    projection_dim: int = 256
    """Features to which the states and the summary of each encoder are projected."""
    temperature: float = 2.0
    """The tasks are drawn with probabilities proportional to their numbers of batches to the power of 1 / temperature
    (Arivazhagan et al. 2019): 1 for the sizes, higher values for more equal shares."""
    weights: tuple[float, ...] = ()
    """Shares of the tasks in training, in the order of the preset, instead of a temperature."""
    leave_out_references: bool = False
    """Leave out of training the sentences of a task that are references of another one in validation or test, since
    they would have been learned by the decoder of both."""

    def __post_init__(self):
        allowed = at_least(1, self, "projection_dim", "temperature")
        count = len(part_names(type(self)))
        is_valid = not self.weights or (len(self.weights) == count and all(0 < each < 1e9 for each in self.weights))
        allowed["weights"] = is_valid, f"a number above 0 for each of the {count} tasks"
        check_settings("", self, allowed)
        _ = self.parts  # each checks its settings together with the shared ones

    @classmethod
    def class_for(cls, values: Any) -> type[ModelConfig]:
        return class_of_parts(tuple(name for name in values if name in TASKS))

    def with_data(self, part: str | None, **changes: Any) -> "JointConfig":
        if part is not None and part not in self.parts:
            raise unknown_name("--task", part, self.parts)
        changed = {name: value for name, value in changes.items() if value}
        if not changed:
            return self
        if part is None:
            raise UsageError(f"{as_flag(next(iter(changed)))} is that of one task: name it with --task")
        other: Any = {part: dataclasses.replace(getattr(self, part), **changed)}
        return dataclasses.replace(self, **other)

    @property
    def has_pretrained_encoder(self) -> bool:
        return any(part.has_pretrained_encoder for part in self.parts.values())

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given those of other groups, each with the reason."""
        unused = super().unused_settings()
        unused["vocabulary.shared"] = "the vocabulary is that of the targets, and each source has its own"
        if self.weights:
            unused["temperature"] = "weights are set"
        for name, config in self.parts.items():
            inner = config.unused_settings()
            unused |= {
                f"{name}.{setting}": why for setting, why in inner.items() if setting.split(".")[0] not in SHARED
            }
        return unused

    @functools.cached_property
    def parts(self) -> dict[str, Config]:
        """The configuration of each task as one of its own, by the task's name.

        Raises:
            ValueError: for settings that do not go together, beginning with the name of the task.
        """
        shared = {name: getattr(self, name) for name in SHARED}
        shared["vocabulary"] = dataclasses.replace(self.vocabulary, shared=False)
        parts: dict[str, Config] = {}
        for name in part_names(type(self)):
            try:
                parts[name] = tasks.package(name).Config(**shared, **vars(getattr(self, name)))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        return parts


def part_names(config_class: type[JointConfig]) -> list[str]:
    """Return the names of the tasks whose settings a configuration has."""
    own = {field.name for field in dataclasses.fields(JointConfig)}
    return [field.name for field in dataclasses.fields(config_class) if field.name not in own]


@functools.cache
def part_class(task: str) -> type:
    """Make the class of the settings that a task has as a part: all but the shared ones."""
    config_class = tasks.package(task).Config
    hints = typing.get_type_hints(config_class, include_extras=True)
    fields = [
        (field.name, hints[field.name], dataclasses.field(default=field.default, default_factory=field.default_factory))
        for field in dataclasses.fields(config_class)
        if field.name not in SHARED
    ]
    docs = describe_settings(config_class)
    attributes = [f"    {name}: {docs[name]}" for name, *_ in fields if name in docs]  # what --help shows
    names: dict[str, Any] = {"__doc__": "\n".join([f"Settings of {task}.", "", "Attributes:", *attributes])}
    return dataclasses.make_dataclass(
        f"{config_class.__name__}Part", cast(Any, fields), frozen=True, kw_only=True, namespace=names
    )


def describe_settings(config_class: type) -> dict[str, str]:
    """Return the documentation of the settings of a class, its own and those that it inherits."""
    classes = [each for each in reversed(config_class.__mro__) if dataclasses.is_dataclass(each)]
    return {
        setting.arg_name: " ".join((setting.description or "").split())
        for each in classes
        for setting in docstring_parser.parse_from_object(each).params
    }


@functools.cache
def class_of_parts(names: tuple[str, ...]) -> type[JointConfig]:
    """Make the class of the configurations of some tasks."""
    fields = [(name, part_class(name), dataclasses.field(default_factory=part_class(name))) for name in names]
    made = dataclasses.make_dataclass(
        "JointConfig",
        cast(Any, fields),
        bases=(JointConfig,),
        frozen=True,
        kw_only=True,
        namespace={"__doc__": JointConfig.__doc__},
    )
    return cast(type[JointConfig], made)


def join(parts: Mapping[str, Config], **shared: Any) -> JointConfig:
    """Make a configuration of those of several tasks.

    Args:
        parts: The configuration of each task, by its name. Of each, the settings that are not shared are taken.
        **shared: The settings of the joint model.
    """
    own = {
        name: part_class(name)(
            **{field.name: getattr(config, field.name) for field in dataclasses.fields(part_class(name))}
        )
        for name, config in parts.items()
    }
    return class_of_parts(tuple(parts))(**own, **shared)
