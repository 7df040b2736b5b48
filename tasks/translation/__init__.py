"""Translation, text to text."""

from tasks.translation.presets import PRESETS
from tasks.translation.task import Translation as Task
from tasks.translation.task import TranslationConfig as Config

__all__ = ["PRESETS", "Config", "Task"]
