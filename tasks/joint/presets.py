"""Configurations by name: which tasks are trained together, and the settings that they share."""

from dataclasses import replace

import tasks
from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, SearchConfig
from tasks.common.config import Config
from tasks.common.errors import UsageError, unknown_name
from tasks.common.text.tokenizer import VocabularyConfig
from tasks.common.training.config import TrainConfig
from tasks.joint.config import SHARED, JointConfig, join

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
    from tasks.run import TASKS

    known = [name for name in TASKS if name != "joint"]
    if task not in known:
        raise unknown_name("task", task, known)
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
    """The toy world in four modalities, all in English, on a laptop's CPU. Not yet run."""
    return join(
        {name: preset_of(name, "demo") for name in TOY_TASKS},
        vocabulary=VocabularyConfig(kind="word", size=400, shared=False),
        projection_dim=128,
        attention=AttentionConfig(score="location", hidden_dim=128),
        decoder=RecurrentDecoderConfig(hidden_dim=192, embedding_dim=64, tie_embeddings=False, dropout=0.0),
        train=TrainConfig(
            epochs=4, lr=3e-3, schedule="cosine", warmup_steps=200, average_checkpoints=0, label_smoothing=0.0
        ),
        search=SearchConfig(max_length=40),
    )


PRESETS = {preset.__name__: preset for preset in (tiny, demo)}
