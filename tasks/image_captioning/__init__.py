"""Image captioning: an image in, a sentence out."""

from tasks.image_captioning.config import ImageConfig as Config
from tasks.image_captioning.presets import PRESETS

TASK = "tasks.image_captioning.task.ImageCaptioning"

__all__ = ["PRESETS", "TASK", "Config"]
