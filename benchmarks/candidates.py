"""The models whose speed is measured, several for each modality, and their data.

``build_trainer(modality, name, data, folder)`` returns a trainer of one of them that can be timed; ``MODALITIES`` lists
all. Models of the same modality have the same batches, vocabulary and dropout rate, and about as many parameters.
"""

import contextlib
import dataclasses
import io
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import synthetic_data
import torch
from torch import Tensor

import tasks
from attention.config import AttentionConfig
from decoders.config import RecurrentDecoderConfig, TransformerDecoderConfig
from encoders.config import NoSequenceEncoderConfig, RecurrentEncoderConfig, TransformerEncoderConfig
from tasks.common.config import Config
from tasks.common.data.config import BatchConfig
from tasks.common.files import save_json
from tasks.common.task import Task
from tasks.common.task_group import ALONE, as_group
from tasks.common.text.config import VocabularyConfig
from tasks.common.text_config import TextEncoderConfig
from tasks.common.training.batches import StepBatches, TrainingBatches
from tasks.common.training.config import TrainConfig
from tasks.common.training.processes import TrainingProcesses
from tasks.common.training.trainer import Trainer
from tasks.image_captioning.config import ImageConfig, ImageEncoderConfig
from tasks.speech_recognition.config import SpeechAugmentConfig, SpeechConfig, SpeechEncoderConfig
from tasks.translation.config import TranslationConfig
from tasks.video_to_text.config import FrameConfig, VideoConfig, VideoEncoderConfig

DROPOUT = 0.3  # JoeyNMT's in joeynmt_peer.py; the same everywhere
TRAIN = TrainConfig(lr=1e-3, schedule="constant", label_smoothing=0.0, average_checkpoints=0)


@dataclass(frozen=True)
class Modality:
    """The models of a modality that are measured, and their data.

    Attributes:
        task: The name of the task.
        save_data: Writes synthetic data into a folder: so many training examples with so many words.
        num_examples: Training examples of the synthetic data.
        num_words: Words of their vocabulary.
        output_length: Tokens of each sentence that is decoded, about the mean of the data.
        configs: The configuration of each of our models by its name.
    """

    task: str
    save_data: Callable[[Path, int, int], None]
    num_examples: int
    num_words: int
    output_length: int
    configs: dict[str, Config]


def text_configs() -> dict[str, Config]:
    """Return models of text: JoeyNMT's default model, the preset multi30k with whole words, and a Transformer.

    The first has 7,859 words of either language, as in joeynmt_peer.py; the others share as many.
    """
    words = VocabularyConfig(kind="word", size=7859, min_frequency=1, lowercase=True)
    bidirectional = RecurrentEncoderConfig(hidden_dim=256, dropout=DROPOUT)
    recurrent = TranslationConfig(
        source="en",
        target="de",
        vocabulary=words,
        encoder=TextEncoderConfig(bidirectional, embedding_dim=256),
        attention=AttentionConfig(score="general", num_heads=4),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=DROPOUT),
        batch=BatchConfig(max_sources=80),
        train=TRAIN,
    )
    return {
        "lstm_input_feeding": replace(
            recurrent,
            vocabulary=replace(words, shared=False),
            attention=AttentionConfig(score="additive", hidden_dim=512),
            decoder=RecurrentDecoderConfig(
                hidden_dim=512, embedding_dim=256, input_feeding=True, tie_embeddings=False, dropout=DROPOUT
            ),
        ),
        "lstm": recurrent,
        "transformer": replace(
            recurrent,
            encoder=TextEncoderConfig(transformer_layers(3), embedding_dim=256),
            attention=AttentionConfig(score="scaled_dot", num_heads=4),
            decoder=transformer_decoder(3),
        ),
    }


def speech_configs() -> dict[str, Config]:
    """Return models of speech: convolutions, and three bidirectional LSTMs or a Transformer of four layers."""
    recurrent = SpeechConfig(
        vocabulary=VocabularyConfig(kind="word", size=1004, min_frequency=1),
        augment=SpeechAugmentConfig(num_frequency_masks=0, num_time_masks=0),
        encoder=SpeechEncoderConfig(RecurrentEncoderConfig(hidden_dim=256, num_layers=3, dropout=DROPOUT)),
        attention=AttentionConfig(score="location", hidden_dim=256),
        decoder=RecurrentDecoderConfig(hidden_dim=320, embedding_dim=128, dropout=DROPOUT),
        batch=BatchConfig(max_sources=16, max_source_size=20_000, max_source_length=3000),
        train=TRAIN,
    )
    return {
        "lstm": recurrent,
        "transformer": replace(
            recurrent,
            encoder=SpeechEncoderConfig(transformer_layers(4)),
            attention=AttentionConfig(score="scaled_dot", num_heads=4),
            decoder=transformer_decoder(2),
        ),
    }


def image_configs() -> dict[str, Config]:
    """Return models of images of 128 pixels: a small residual network, 64 regions, and either kind of decoder."""
    channels = (32, 64, 128, 256)
    recurrent = ImageConfig(
        vocabulary=VocabularyConfig(kind="word", size=5004, min_frequency=1),
        encoder=ImageEncoderConfig(
            NoSequenceEncoderConfig(hidden_dim=256, dropout=DROPOUT), size=128, channels=channels
        ),
        attention=AttentionConfig(score="general", num_heads=4),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=DROPOUT),
        batch=BatchConfig(max_sources=32),
        train=TRAIN,
    )
    return {
        "lstm": recurrent,
        "transformer": replace(
            recurrent,
            encoder=ImageEncoderConfig(transformer_layers(3), size=128, channels=channels),
            attention=AttentionConfig(score="scaled_dot", num_heads=4),
            decoder=transformer_decoder(3),
        ),
    }


def video_configs() -> dict[str, Config]:
    """Return models of videos of 8 frames and 64 pixels: a small network on each frame, and an LSTM or Transformer."""
    channels = (32, 64, 128, 256)
    recurrent = VideoConfig(
        vocabulary=VocabularyConfig(kind="word", size=3004, min_frequency=1),
        frames=FrameConfig(num_frames=synthetic_data.VIDEO_FRAMES, cache_frames=True),
        encoder=VideoEncoderConfig(RecurrentEncoderConfig(hidden_dim=256, dropout=DROPOUT), channels=channels),
        attention=AttentionConfig(score="general", num_heads=4),
        decoder=RecurrentDecoderConfig(hidden_dim=512, embedding_dim=256, dropout=DROPOUT),
        batch=BatchConfig(max_sources=16),
        train=TRAIN,
    )
    return {
        "lstm": recurrent,
        "transformer": replace(
            recurrent,
            encoder=VideoEncoderConfig(transformer_layers(2), channels=channels),
            attention=AttentionConfig(score="scaled_dot", num_heads=4),
            decoder=transformer_decoder(3),
        ),
    }


def transformer_layers(num_layers: int) -> TransformerEncoderConfig:
    return TransformerEncoderConfig(hidden_dim=256, num_layers=num_layers, num_heads=4, dropout=DROPOUT)


def transformer_decoder(num_layers: int) -> TransformerDecoderConfig:
    return TransformerDecoderConfig(
        hidden_dim=256, num_layers=num_layers, num_heads=4, embedding_dim=256, dropout=DROPOUT
    )


MODALITIES = {
    "text": Modality("translation", synthetic_data.save_text, 8000, 7855, 12, text_configs()),
    "speech": Modality("speech_recognition", synthetic_data.save_speech, 400, 1000, 18, speech_configs()),
    "images": Modality("image_captioning", synthetic_data.save_images, 640, 5000, 12, image_configs()),
    "videos": Modality("video_to_text", synthetic_data.save_videos, 320, 3000, 12, video_configs()),
}


@dataclass(frozen=True)
class Work:
    """The work done in a number of seconds; target tokens include the ends of sentences, and no padding."""

    num_examples: int
    num_tokens: int
    seconds: float


class TimedTrainer(Trainer):
    """A trainer that stops after a number of steps, and neither evaluates nor saves."""

    def __init__(self, task: Task, folder: Path):
        super().__init__(task, folder, resume=False)
        self.num_steps = 0
        self.steps: list[tuple[float, StepBatches]] = []

    def run_steps(self, num_warmup_steps: int, num_steps: int) -> Work:
        """Take steps of the training loop, and time all but the first ones."""
        self.num_steps, self.steps = num_warmup_steps + num_steps, []
        with contextlib.redirect_stderr(io.StringIO()):  # its progress
            self.run()
        (start, _), *timed = self.steps[num_warmup_steps - 1 :]
        return count_work([step for _, step in timed], read_clock(self.device) - start)

    def forward_backward(self, step: StepBatches) -> tuple[Tensor, int]:
        self.current = step
        return super().forward_backward(step)

    def update_parameters(self, loss: Tensor) -> tuple[Tensor, Tensor]:  # the end of a step, which a GPU may still take
        norm_and_scale = super().update_parameters(loss)
        self.steps.append((time.perf_counter(), self.current))
        return norm_and_scale

    def should_stop(self) -> bool:
        return len(self.steps) >= self.num_steps

    def evaluate(self) -> None: ...

    def save(self) -> None: ...

    def finish(self) -> None: ...


class OneStepTrainer(Trainer):
    """A trainer that stops after one step, for a run folder with a model of which only the speed matters."""

    def should_stop(self) -> bool:
        return self.progress.step > 0


def build_task(modality: str, name: str, data: Path, precision: str = "no") -> Task:
    """Build the task of a model, with the data of a folder; ``precision``: see ``train.precision``."""
    config = MODALITIES[modality].configs[name]
    config = replace(config, data=str(data), train=replace(config.train, precision=precision))
    return tasks.task_class(MODALITIES[modality].task)(config)


def build_trainer(modality: str, name: str, data: Path, folder: Path, precision: str = "no") -> TimedTrainer:
    """Build a trainer of a model that can be timed.

    Args:
        modality: text, speech, images or videos.
        name: One of the modality's ``configs``.
        data: A folder that ``Modality.save_data`` has filled, or with data of the same form.
        folder: An empty run folder.
        precision: See ``train.precision``.
    """
    return TimedTrainer(build_task(modality, name, data, precision), folder)


def save_run(modality: str, name: str, data: Path, folder: Path) -> None:
    """Train a model for one step, into a run folder that ``predict`` can load."""
    task = build_task(modality, name, data)
    save_json(folder / "config.json", {"task": MODALITIES[modality].task, "config": dataclasses.asdict(task.config)})
    OneStepTrainer(task, folder, resume=False).run()


def load_batches(task: Task) -> tuple[datasets.Dataset, TrainingBatches]:
    """Fit a task to its training examples, and return these and the batches that a trainer would make of them."""
    examples = task.load("train")
    task.fit(examples)
    processes = TrainingProcesses(supports_mps=True, uses_all_parameters=True)
    return examples, TrainingBatches(as_group(task), {ALONE: examples}, processes)


def repeat_epochs(batches: TrainingBatches) -> Iterator[StepBatches]:
    """Yield the steps of epoch after epoch, in a trainer's order."""
    for epoch in itertools.count():
        yield from batches.load(epoch, 0)


def count_work(steps: list[StepBatches], seconds: float) -> Work:
    """Add up the examples and tokens of some steps."""
    num_examples = sum(len(batch.tokens) for step in steps for batch in step.batches)
    return Work(num_examples, sum(step.num_tokens for step in steps), seconds)


def read_clock(device: torch.device) -> float:
    """Return the time in seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
