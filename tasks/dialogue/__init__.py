"""Dialogue: the last turns of a conversation in, a reply out."""

from tasks.dialogue.presets import PRESETS
from tasks.dialogue.task import Dialogue as Task
from tasks.dialogue.task import DialogueConfig as Config

COMMANDS = {"chat": "tasks.dialogue.chat"}

__all__ = ["COMMANDS", "PRESETS", "Config", "Task"]
