"""Audio-visual speech recognition: a video of a speaker in, its words out."""

from tasks.audio_visual_speech.config import AudioVisualConfig as Config
from tasks.audio_visual_speech.presets import PRESETS

TASK = "tasks.audio_visual_speech.task.AudioVisualSpeech"

__all__ = ["PRESETS", "TASK", "Config"]
