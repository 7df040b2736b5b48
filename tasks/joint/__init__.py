"""Several tasks with one model: each has its own data and encoder, and all have one decoder."""

from tasks.joint.config import JointConfig as Config
from tasks.joint.presets import PRESETS, compose

TASK = "tasks.joint.task.JointTask"
COMMANDS = {"extract": "tasks.joint.extract"}

__all__ = ["COMMANDS", "PRESETS", "TASK", "Config", "compose"]
