"""Translation: a sentence in one language in, the same sentence in another language out."""

from tasks.translation.config import TranslationConfig as Config
from tasks.translation.presets import PRESETS

TASK = "tasks.translation.task.Translation"

__all__ = ["PRESETS", "TASK", "Config"]
