"""Dialogue: the last turns of a conversation in, a reply out."""

from tasks.dialogue.config import DialogueConfig as Config
from tasks.dialogue.presets import PRESETS

TASK = "tasks.dialogue.task.Dialogue"
COMMANDS = {"chat": "tasks.dialogue.chat"}

__all__ = ["COMMANDS", "PRESETS", "TASK", "Config"]
