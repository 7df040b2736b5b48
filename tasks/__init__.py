"""Tasks: a folder is a task, a file is what all tasks share."""

import importlib
from types import ModuleType


def package(name: str) -> ModuleType:
    """A task's folder, which offers ``Task``, ``Config`` and ``PRESETS``: name to a function without arguments."""
    return importlib.import_module(f"tasks.{name}")
