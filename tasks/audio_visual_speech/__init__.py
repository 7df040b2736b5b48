"""Audio-visual speech recognition: a video of a speaker in, its words out."""

from tasks.audio_visual_speech.presets import PRESETS
from tasks.audio_visual_speech.task import AudioVisualConfig as Config
from tasks.audio_visual_speech.task import AudioVisualSpeech as Task

__all__ = ["PRESETS", "Config", "Task"]
