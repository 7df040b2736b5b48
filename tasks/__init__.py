"""Each folder is a task, except ``toy_world`` (built-in data) and ``common`` (code shared by all tasks).

from tasks import load

model = load("runs/m30k")
prediction = model("Ein Hund läuft.")
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.common.inference.trained_model import TrainedModel

TASKS = {
    "translation": "translate a sentence",
    "speech_recognition": "transcribe speech",
    "image_captioning": "describe an image",
    "video_to_text": "describe a video, or read lips",
    "audio_visual_speech": "transcribe speech that is seen and heard",
    "joint": "several of these tasks with one model",
    "summarization": "summarize a text",
    "dialogue": "reply to the last turns of a conversation",
    "poetry": "continue a poem",
    "code_completion": "complete a line of Python",
}


def package(name: str) -> ModuleType:
    """Import the package of a task, with ``Config``, ``PRESETS`` (functions that return a Config) and ``TASK``."""
    return importlib.import_module(f"tasks.{name}")


def task_class(name: str) -> type[Any]:
    """Import the class that the package of a task names in ``TASK``; settings and presets don't need it, nor torch."""
    module, _, class_name = package(name).TASK.rpartition(".")
    return getattr(importlib.import_module(module), class_name)


def load(run: str | Path, device: Any = None) -> "TrainedModel":
    """Load a run, a folder or OWNER/NAME of the hub: see ``tasks.common.inference.trained_model.load_model``."""
    from tasks.common.inference.trained_model import load_model  # torch takes its time

    return load_model(run, device)
