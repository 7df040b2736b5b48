"""Image captioning: an image in, a sentence out."""

from tasks.image_captioning.presets import PRESETS
from tasks.image_captioning.task import ImageCaptioning as Task
from tasks.image_captioning.task import ImageConfig as Config

__all__ = ["PRESETS", "Config", "Task"]
