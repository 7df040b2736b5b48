"""Several tasks with one model: each has its own data and encoder, and all have one decoder."""

from tasks.joint.config import JointConfig as Config
from tasks.joint.presets import PRESETS, compose
from tasks.joint.task import JointTask as Task

COMMANDS = {"extract": "tasks.joint.extract"}
__all__ = ["COMMANDS", "PRESETS", "Config", "Task", "compose"]
