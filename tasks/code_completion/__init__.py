"""Code completion: the lines before in, the rest of a line or the next one out."""

from tasks.code_completion.presets import PRESETS
from tasks.code_completion.task import CodeCompletion as Task
from tasks.code_completion.task import CodeCompletionConfig as Config

__all__ = ["PRESETS", "Config", "Task"]
