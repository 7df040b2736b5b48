"""Configurations by name: which tasks are trained together, and the settings that they share."""

from dataclasses import replace

import tasks
from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, SearchConfig
from tasks.common.config import Config
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.config import VocabularyConfig
from tasks.common.training.config import TrainConfig
from tasks.joint.config import SHARED, TASKS, JointConfig, join

TOY_TASKS = ("translation", "speech_recognition", "image_captioning", "video_to_text")


def compose(name: str) -> JointConfig:
    """Compose a configuration of presets of tasks, as in ``translation:demo+image_captioning:small``.

    The settings that the tasks share are those of the first one.

    Raises:
        UsageError: for anything else, and for an unknown task or preset.
    """
    parts: dict[str, Config] = {}
    for each in name.split("+"):
        task, colon, preset = each.partition(":")
        if not (colon and preset):
            raise UsageError(f"{name}: expected TASK:PRESET+TASK:PRESET+...")
        if task in parts:
            raise UsageError(f"{name} names {task} twice; a joint model has each task once")
        parts[task] = preset_of(task, preset)
    first = next(iter(parts.values()))
    shared = {setting: getattr(first, setting) for setting in SHARED if setting != "projection_dim"}
    return join(parts, **shared | {"vocabulary": replace(first.vocabulary, shared=False)})


def preset_of(task: str, preset: str) -> Config:
    """Build a preset of a task. Raises UsageError if there is no such task or preset."""
    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    presets = tasks.package(task).PRESETS
    if preset not in presets:
        raise unknown_name(f"preset of {task}", preset, presets)
    return presets[preset]()


def tiny() -> JointConfig:
    """The toy world in four modalities, in seconds, for tests; the result is poor."""
    return join(
        {name: preset_of(name, "tiny") for name in TOY_TASKS},
        vocabulary=VocabularyConfig(kind="word", size=400, shared=False),
        projection_dim=32,
        attention=AttentionConfig(score="general", hidden_dim=32),
        decoder=RecurrentDecoderConfig(hidden_dim=32, embedding_dim=16, dropout=0.0),
        train=TrainConfig(epochs=2, lr=5e-3, average_checkpoints=0),
        search=SearchConfig(beam=2, max_length=40),
    )


def demo() -> JointConfig:
    """The toy world in four modalities, all in English, on a laptop's CPU; 13 minutes on a core.

    BLEU 100.00, WER 0.46 %, 83.30 % of the images and 72.60 % of the videos exactly right on the test splits
    (benchmarks/README.md).
    """
    return join(
        {name: preset_of(name, "demo") for name in TOY_TASKS},
        vocabulary=VocabularyConfig(kind="word", size=400, shared=False),
        projection_dim=128,
        attention=AttentionConfig(score="location", hidden_dim=128),
        decoder=RecurrentDecoderConfig(hidden_dim=256, embedding_dim=64, tie_embeddings=False, dropout=0.0),
        temperature=1.5,
        train=TrainConfig(
            epochs=6, lr=3e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0, label_smoothing=0.0
        ),
        search=SearchConfig(max_length=40),
    )


def captions() -> JointConfig:
    """English sentences from text, images and video: Multi30k German to English, Flickr8k and MSR-VTT.

    With five of its twelve epochs CIDEr 37.26 on Flickr8k and 28.01 on MSR-VTT; single models with as many updates have
    43.58 and 29.59 (benchmarks/README.md).

    python run.py joint train captions --translation.data FOLDER --image-captioning.data FOLDER
    --video-to-text.data FOLDER
    """
    return join(
        {
            "translation": replace(preset_of("translation", "multi30k"), source="de", target="en"),
            "image_captioning": preset_of("image_captioning", "flickr8k"),
            "video_to_text": preset_of("video_to_text", "msrvtt"),
        },
        vocabulary=VocabularyConfig(kind="word", size=10_000, min_frequency=4, shared=False, lowercase=True),
        projection_dim=512,
        attention=AttentionConfig(score="general", num_heads=4),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=300, dropout=0.3),
        train=TrainConfig(
            epochs=12, lr=1e-3, schedule="cosine", warmup_steps=300, average_checkpoints=4, label_smoothing=0.0
        ),
        search=SearchConfig(max_length=40),
        leave_out_references=True,
    )


def english_speech() -> JointConfig:
    """GRID, one speaker's commands, from their sound and from the lips (Cooke et al. 2006).

    python run.py joint train english_speech --speech-recognition.data FOLDER --video-to-text.data FOLDER
    Run for 30 of its 45 epochs alone: 27.33 and 53.33 % word errors, far more than a model each (benchmarks/README.md).
    """
    lips = preset_of("video_to_text", "grid")
    return join(
        {"speech_recognition": preset_of("speech_recognition", "grid"), "video_to_text": lips},
        **{name: getattr(lips, name) for name in SHARED} | {"projection_dim": 512},
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo, captions, english_speech)}
