"""Poetry: lines of verse in, the next line or the rest of the poem out."""

from tasks.poetry.config import PoetryConfig as Config
from tasks.poetry.presets import PRESETS

TASK = "tasks.poetry.task.Poetry"

__all__ = ["PRESETS", "TASK", "Config"]
