"""Video to text: a video in, a sentence out."""

from tasks.video_to_text.presets import PRESETS
from tasks.video_to_text.task import VideoConfig as Config
from tasks.video_to_text.task import VideoToText as Task

__all__ = ["PRESETS", "Config", "Task"]
