"""The tensors in nested dataclasses and tuples by their names, as inputs and outputs of a graph."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def tensors_of(value: Any, name: str = "") -> dict[str, Tensor]:
    """Return all tensors in a value, in order: ``key_values.mask``, ``hidden.0``. Everything else is left out."""
    if isinstance(value, Tensor):
        return {name: value}
    parts = parts_of(value).items()
    return {full: tensor for key, part in parts for full, tensor in tensors_of(part, join(name, key)).items()}


def with_tensors(value: T, tensors: Mapping[str, Tensor]) -> T:
    """Return the same value with other tensors, named as ``tensors_of`` names them."""
    return _replaced(value, tensors, "")


def _replaced(value: Any, tensors: Mapping[str, Tensor], name: str) -> Any:
    if isinstance(value, Tensor):
        return tensors[name]
    parts = {key: _replaced(part, tensors, join(name, key)) for key, part in parts_of(value).items()}
    if isinstance(value, tuple):
        return tuple(parts.values())
    return dataclasses.replace(value, **parts) if parts else value


def parts_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass and the items of a tuple by their names; nothing of other values."""
    if isinstance(value, tuple):
        return {str(index): item for index, item in enumerate(value)}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {}


def join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
