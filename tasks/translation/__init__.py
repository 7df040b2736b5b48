"""Translation: a sentence in one language in, the same sentence in another language out."""

from tasks.translation.presets import PRESETS
from tasks.translation.task import Translation as Task
from tasks.translation.task import TranslationConfig as Config

__all__ = ["PRESETS", "Config", "Task"]
