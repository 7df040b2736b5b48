"""Code completion: the lines before the cursor in, the rest of the line or the next line out."""

from tasks.code_completion.config import CodeCompletionConfig as Config
from tasks.code_completion.presets import PRESETS

TASK = "tasks.code_completion.task.CodeCompletion"

__all__ = ["PRESETS", "TASK", "Config"]
