"""Code completion: the lines before the cursor in, the rest of the line or the next line out."""

from tasks.code_completion.presets import PRESETS
from tasks.code_completion.task import CodeCompletion as Task
from tasks.code_completion.task import CodeCompletionConfig as Config

__all__ = ["PRESETS", "Config", "Task"]
