"""Video to text: a video in, a sentence out."""

from tasks.video_to_text.config import VideoConfig as Config
from tasks.video_to_text.presets import PRESETS

TASK = "tasks.video_to_text.task.VideoToText"

__all__ = ["PRESETS", "TASK", "Config"]
