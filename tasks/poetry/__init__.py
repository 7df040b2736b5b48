"""Poetry: lines of verse in, the next line or the rest of the poem out."""

from tasks.poetry.presets import PRESETS
from tasks.poetry.task import Poetry as Task
from tasks.poetry.task import PoetryConfig as Config

__all__ = ["PRESETS", "Config", "Task"]
