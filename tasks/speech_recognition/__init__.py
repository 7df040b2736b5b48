"""Speech recognition: sound in, text out."""

from tasks.speech_recognition.presets import PRESETS
from tasks.speech_recognition.task import SpeechConfig as Config
from tasks.speech_recognition.task import SpeechRecognition as Task

__all__ = ["PRESETS", "Config", "Task"]
