"""Sentences, scores, losses and gradients do not depend on batches, their order, or the number of threads."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import tasks
from attention.config import AttentionConfig
from decoders.base import Hypothesis
from decoders.config import (
    AttentionTransducerDecoderConfig,
    CTCDecoderConfig,
    RecurrentDecoderConfig,
    S2VTDecoderConfig,
    TransformerDecoderConfig,
)
from encoders.config import ConvS2SEncoderConfig, TransformerEncoderConfig
from tasks.common.data.config import BatchConfig
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.training.processes import TrainingProcesses
from tasks.common.training.validation import PartValidation

EXAMPLES = 4
UNLIMITED = {"max_source_size": 1_000_000, "max_target_size": 1_000_000}
SIZES = {"hidden_dim": 32, "embedding_dim": 32, "dropout": 0.0}
GENERAL = AttentionConfig(score="general")

DECODERS: dict[str, tuple[Any, AttentionConfig | None]] = {
    "recurrent": (RecurrentDecoderConfig(**SIZES, input_feeding=True), AttentionConfig(score="concat", num_heads=2)),
    "Bahdanau's order": (
        RecurrentDecoderConfig(**SIZES, attention_order="bahdanau"),
        AttentionConfig(score="additive", locality="local_p", hierarchy="hierarchical"),
    ),
    "transformer": (TransformerDecoderConfig(**SIZES, num_heads=2), AttentionConfig(score="scaled_dot", num_heads=2)),
    "s2vt": (S2VTDecoderConfig(**SIZES), None),
    "copy": (RecurrentDecoderConfig(**SIZES, copy=True), GENERAL),
    "joint": (
        RecurrentDecoderConfig(**SIZES, ctc_weight=0.3), AttentionConfig(score="location", locality="monotonic"),
    ),
    "ctc": (CTCDecoderConfig(dropout=0.0), None),
    "transducer_attention": (AttentionTransducerDecoderConfig(**SIZES), GENERAL),
}  # fmt: skip
ENCODERS = {
    "transformer": TransformerEncoderConfig(hidden_dim=32, num_heads=2, dropout=0.0),
    "rotary": TransformerEncoderConfig(hidden_dim=32, num_heads=2, positions="rotary", dropout=0.0),
    "convolutional": ConvS2SEncoderConfig(hidden_dim=32, dropout=0.0),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ready(save_text_pairs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that makes a task's tiny preset and its first examples, once for all tests."""
    made: dict[str, tuple[Task, Any, Any]] = {}
    pairs = tmp_path_factory.mktemp("pairs")
    save_text_pairs(pairs, train=40, validation=4)

    def make(name: str) -> tuple[Task, Any]:
        if name not in made:
            config = tasks.package(name).PRESETS["tiny"]()
            if name == "translation":  # a few pairs are made sooner than all of them
                config = replace(config, data=str(pairs))
            task = tasks.task_class(name)(config)
            examples = task.load("train").select(range(EXAMPLES))
            task.fit(examples)
            made[name] = task, examples, config
        task, examples, config = made[name]
        task.config = config
        return task, examples

    return make


def build(task: Task, *, decoder: str | None = None, encoder: str | None = None) -> Seq2Seq:
    if decoder is not None:
        config, attention = DECODERS[decoder]
        task.config = replace(task.config, decoder=config, attention=attention)
    if encoder is not None:
        task.config = replace(task.config, encoder=replace(task.config.encoder, sequence=ENCODERS[encoder]))
    torch.manual_seed(1)
    return task.build_model()


def evaluate(task: Task, model: Seq2Seq, examples: Any, size: int, order: list[int]) -> tuple[list[Hypothesis], float]:
    """The best sentence for each example and the likelihood of them all, in batches of some size, in some order."""
    task.config = replace(task.config, batch=BatchConfig(max_sources=size, **UNLIMITED))
    ordered = examples.select(order)
    lengths = task.example_lengths(ordered)[:, 0].tolist()
    search = replace(task.config.search, beam=2, max_length=4)
    found = Predictor(task, [model.eval()]).generate_all(ordered["source"], lengths, search)
    processes = TrainingProcesses(supports_mps=False, uses_all_parameters=True)
    nll = PartValidation(task, ordered, task.metrics, processes).measure(model)["nll"]
    return [found[order.index(row)][0] for row in range(EXAMPLES)], nll


def train(task: Task, model: Seq2Seq, examples: Any, size: int) -> dict[str, Tensor]:
    """The loss of all examples and its gradients, in batches of some size."""
    model.train().zero_grad()
    rows = list(range(EXAMPLES))
    losses = []
    for start in range(0, EXAMPLES, size):
        loss = model(task.collate(examples, rows[start : start + size]), label_smoothing=0.1).total
        loss.backward()
        losses.append(loss.detach())
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {"loss": torch.stack(losses).sum(), **{name: gradient.clone() for name, gradient in gradients.items()}}


def check(task: Task, examples: Any, model: Seq2Seq, num_threads: int = 1) -> None:
    """Compare batches of one on a thread with batches of three in another order."""
    rows = list(range(EXAMPLES))
    sentences, nll = evaluate(task, model, examples, 1, rows)
    trained = train(task, model, examples, 1)
    torch.set_num_threads(num_threads)
    others, other_nll = evaluate(task, model, examples, 3, rows[::-1])
    retrained = train(task, model, examples, 3)
    assert [each.tokens for each in others] == [each.tokens for each in sentences]
    assert [each.score for each in others] == pytest.approx([each.score for each in sentences], rel=1e-5)
    assert other_nll == pytest.approx(nll, rel=1e-5)
    assert retrained.keys() == trained.keys()
    largest = max(float(gradient.abs().max()) for name, gradient in trained.items() if name != "loss")
    for name, value in trained.items():
        torch.testing.assert_close(retrained[name], value, rtol=1e-5, atol=1e-5 * largest, msg=name)


@pytest.mark.parametrize("decoder", DECODERS)
def test_with_every_decoder(decoder, ready):
    task, examples = ready("translation")
    check(task, examples, build(task, decoder=decoder))


def test_with_two_threads(ready):
    task, examples = ready("translation")
    check(task, examples, build(task, decoder="transformer"), num_threads=2)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_with_every_encoder(encoder, ready):
    task, examples = ready("translation")
    check(task, examples, build(task, encoder=encoder))


@pytest.mark.parametrize("name", ["speech_recognition", "video_to_text"])
def test_with_padded_sound_and_frames(name, ready):
    task, examples = ready(name)
    check(task, examples, build(task))
