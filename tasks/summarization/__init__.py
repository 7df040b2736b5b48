"""Summarization: a document in, a summary out."""

from tasks.summarization.presets import PRESETS
from tasks.summarization.task import Summarization as Task
from tasks.summarization.task import SummarizationConfig as Config

__all__ = ["PRESETS", "Config", "Task"]
