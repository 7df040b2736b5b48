"""Pretrained models as frontends of encoders, frozen or fine-tuned."""

from encoders.pretrained.base import PretrainedFrontend
from encoders.pretrained.image import PretrainedImage, image_model_from_config, load_image_model
from encoders.pretrained.speech import PretrainedSpeech, load_speech_model, speech_model_from_config
from encoders.pretrained.text import PretrainedText, load_text_model, text_model_from_config
from encoders.pretrained.video import PretrainedVideo, is_video_model, load_video_model, video_model_from_config

__all__ = [
    "PretrainedFrontend",
    "PretrainedImage",
    "PretrainedSpeech",
    "PretrainedText",
    "PretrainedVideo",
    "image_model_from_config",
    "is_video_model",
    "load_image_model",
    "load_speech_model",
    "load_text_model",
    "load_video_model",
    "speech_model_from_config",
    "text_model_from_config",
    "video_model_from_config",
]
