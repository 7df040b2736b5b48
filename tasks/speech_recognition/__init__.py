"""Speech recognition: sound in, text out."""

from tasks.speech_recognition.config import SpeechConfig as Config
from tasks.speech_recognition.presets import PRESETS

TASK = "tasks.speech_recognition.task.SpeechRecognition"

__all__ = ["PRESETS", "TASK", "Config"]
