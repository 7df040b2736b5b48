"""Run folders of tiny models with random weights, for each modality and several kinds of encoders and decoders."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

import tasks
from attention.config import AttentionConfig
from decoders.config import (
    CTCDecoderConfig,
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
)
from encoders.config import ConvS2SEncoderConfig, TransformerEncoderConfig
from tasks.common.config import ModelConfig
from tasks.common.data.arrays import pack_array
from tasks.common.files import save_json
from tasks.common.task_group import ALONE, as_group
from tasks.common.text.config import VocabularyConfig
from tasks.common.training.checkpoints import save_training, save_weights, weights_of

SENTENCES = {
    "hier ist eine rote Vier": "here is a red four",
    "eine große blaue Zwei, links": "a large blue two, on the left",
    "über einer kleinen Fünf ist eine Drei!": "above a small five is a three!",
    "ein Hund läuft über die Wiese.": "a dog runs over the grass.",
}
SCALE = 3.0  # of random weights, so that sentences depend on their sources
MAX_LENGTH = 4  # tokens of a sentence
DIM = 16
TASKS = ("translation", "speech_recognition", "image_captioning", "video_to_text")


def examples_of(task: str) -> Dataset:
    """Return some examples, as far as a task learns from them before training."""
    sources: list[Any] = [*SENTENCES]
    if task == "speech_recognition":
        sources = [[pack_array(np.random.default_rng(row).normal(size=(40, 20)))] for row in range(len(SENTENCES))]
    targets = [*SENTENCES.values()]
    length, dim = [40] * len(targets), [0] * len(targets)
    return Dataset.from_dict(
        {"source": sources, "target": targets, "references": [[text] for text in targets], "length": length}
        | ({"feature_dim": dim} if task in ("image_captioning", "video_to_text") else {})
    )


def configs_of(task: str) -> Iterator[ModelConfig]:
    """Yield configurations of a task: of every kind of decoder that it can have, and of several encoders."""
    tiny = tasks.package(task).PRESETS["tiny"]()
    vocabulary = VocabularyConfig(kind="word" if task == "image_captioning" else "bpe", size=300, min_frequency=0)
    search = dataclasses.replace(tiny.search, beam=2, max_length=MAX_LENGTH, min_length=0)
    tiny = dataclasses.replace(tiny, search=search, vocabulary=vocabulary)
    yield tiny
    small = {"hidden_dim": DIM, "embedding_dim": DIM}
    decoder = RecurrentDecoderConfig(**small, num_layers=2, attention_order="bahdanau", input_feeding=True)
    attention = AttentionConfig(score="additive", hidden_dim=DIM, locality="local_m", window_size=3.0)
    yield dataclasses.replace(tiny, attention=attention, decoder=decoder)
    transformer = TransformerEncoderConfig(hidden_dim=DIM, num_layers=2, num_heads=2)
    encoder = dataclasses.replace(tiny.encoder, sequence=transformer)
    decoder = TransformerDecoderConfig(**small, num_layers=2, num_heads=2)
    yield dataclasses.replace(tiny, encoder=encoder, decoder=decoder)
    if task in ("translation", "speech_recognition"):
        convolutional = ConvS2SEncoderConfig(hidden_dim=DIM, num_layers=2)
        encoder = dataclasses.replace(tiny.encoder, sequence=convolutional)
        copies = RecurrentDecoderConfig(**small, copy=task == "translation")
        yield dataclasses.replace(tiny, encoder=encoder, decoder=copies)
    if task in ("speech_recognition", "video_to_text"):
        yield dataclasses.replace(tiny, decoder=CTCDecoderConfig(), attention=None)
        yield dataclasses.replace(tiny, decoder=TransducerDecoderConfig(**small), attention=None)
    if task == "video_to_text":
        yield dataclasses.replace(tiny, decoder=S2VTDecoderConfig(**small), attention=None)


def save_run(task: str, config: ModelConfig, folder: Path) -> Path:
    """Save a run with random weights, and the state of a training that has taken one step; return its folder."""
    torch.manual_seed(1)
    group = as_group(tasks.task_class(task)(config))
    group.fit({ALONE: examples_of(task)})
    model = group.build_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(SCALE)
    save_json(folder / "config.json", {"task": task, "config": dataclasses.asdict(config)})
    save_json(folder / "vocabulary.json", group.state_dict())
    save_weights(folder / "best.safetensors", weights_of(model))
    quantiles = {str(each): -3.0 for each in (0.0, 0.01, 0.05, 0.25, 0.5)}
    save_json(folder / "domain.json", {"num_sources": 100, "log_prob": quantiles, "max_unknown": 0.5})
    optimizer = torch.optim.AdamW(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()  # pyright: ignore[reportAttributeAccessIssue]
    optimizer.step()
    save_training(folder / "last" / "training.safetensors", model, optimizer, {"step": 1})
    return folder


def save_runs(folder: Path, first_only: bool = False) -> dict[str, list[Path]]:
    """Save runs of all configurations of each task, or of the first ones, and return their folders."""
    return {
        task: [
            save_run(task, config, folder / f"{task}-{number}")
            for number, config in enumerate(configs_of(task))
            if not (first_only and number)
        ]
        for task in TASKS
    }
