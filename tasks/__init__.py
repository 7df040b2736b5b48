"""Each folder is a task, except ``toy_world`` (built-in data) and ``common`` (code shared by all tasks)."""

import importlib
from types import ModuleType


def package(name: str) -> ModuleType:
    """Import the package of a task, with ``Task``, ``Config`` and ``PRESETS`` (functions that return a Config)."""
    return importlib.import_module(f"tasks.{name}")
