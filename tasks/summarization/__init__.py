"""Summarization: a document in, a summary out."""

from tasks.summarization.config import SummarizationConfig as Config
from tasks.summarization.presets import PRESETS

TASK = "tasks.summarization.task.Summarization"

__all__ = ["PRESETS", "TASK", "Config"]
