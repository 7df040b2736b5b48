"""Video to text, a video to a sentence."""

from tasks.video_to_text.presets import PRESETS
from tasks.video_to_text.task import VideoConfig as Config
from tasks.video_to_text.task import VideoToText as Task

__all__ = ["PRESETS", "Config", "Task"]
