"""On a GPU: every decoder trains in every precision, a step never waits, and what is computed is the CPU's."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import tasks
from attention.config import AttentionConfig
from decoders.config import (
    CTCDecoderConfig,
    RecurrentDecoderConfig,
    SearchConfig,
    TransducerDecoderConfig,
    TransformerDecoderConfig,
)
from tasks.common.training.batches import StepBatches
from tasks.common.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

MODALITIES = ("translation", "speech_recognition", "image_captioning", "video_to_text")
DECODERS: dict[str, dict[str, Any]] = {
    "recurrent": {},
    "input feeding": {"decoder": RecurrentDecoderConfig(hidden_dim=32, embedding_dim=32, input_feeding=True)},
    "transformer": {"decoder": TransformerDecoderConfig(hidden_dim=32, num_heads=2)},
    "copying": {"decoder": RecurrentDecoderConfig(hidden_dim=32, embedding_dim=32, copy=True)},
    "ctc": {"decoder": CTCDecoderConfig(), "attention": None},
    "transducer": {"decoder": TransducerDecoderConfig(hidden_dim=32), "attention": None},
    "hard": {"attention": AttentionConfig(selection="hard")},
}


@pytest.fixture(scope="module")
def make_config(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> Callable[..., Any]:
    """Make the tiny preset of a task with few examples: (name, settings of train, other settings)."""
    folder = tmp_path_factory.mktemp("data")
    save_text_pairs(folder, train=400, validation=20)

    def make(name: str, train: dict[str, Any], **changes: Any) -> Any:
        config = tasks.package(name).PRESETS["tiny"]()
        data = {"data": str(folder)} if name == "translation" else {"num_scenes": 40}
        return replace(config, **data, **changes, train=replace(config.train, average_checkpoints=0, **train))

    return make


@contextlib.contextmanager
def refuse_waiting(trainer: Trainer) -> Iterator[None]:
    """Let every operation fail that waits for the GPU while the trainer computes and takes its steps."""
    compute, update = trainer.forward_backward, trainer.update_parameters
    num_steps = 0

    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(argument: StepBatches | torch.Tensor) -> Any:
            nonlocal num_steps
            num_steps += 1
            torch.cuda.set_sync_debug_mode("error" if num_steps > 2 else "default")  # the first step sets up libraries
            try:
                return function(argument)
            finally:
                torch.cuda.set_sync_debug_mode("default")

        return call

    trainer.forward_backward, trainer.update_parameters = guarded(compute), guarded(update)
    yield


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
@pytest.mark.parametrize("name", MODALITIES)
def test_every_modality_trains_in_every_precision(
    name: str, precision: str, make_config: Callable[..., Any], tmp_path: Path
):
    config = make_config(name, {"epochs": 3, "precision": precision, "num_workers": 1})
    trainer = Trainer(tasks.task_class(name)(config), tmp_path, resume=False)
    losses: list[float] = []
    evaluate = trainer.evaluate

    def record() -> None:
        trainer.read_losses()
        losses.append(sum(trainer.progress.loss.values()) / trainer.progress.num_tokens)
        evaluate()

    trainer.evaluate = record
    trainer.run()
    assert trainer.device.type == "cuda"
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_trains_in_every_precision(
    decoder: str, precision: str, make_config: Callable[..., Any], tmp_path: Path
):
    name = "speech_recognition" if decoder in ("ctc", "transducer") else "translation"
    config = make_config(name, {"epochs": 1, "precision": precision}, **DECODERS[decoder])
    trainer = Trainer(tasks.task_class(name)(config), tmp_path, resume=False)
    trainer.run()
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


@pytest.mark.parametrize("name", ["translation", "image_captioning", "video_to_text"])
def test_a_training_step_does_not_wait_for_the_gpu(name: str, make_config: Callable[..., Any], tmp_path: Path):
    trainer = Trainer(tasks.task_class(name)(make_config(name, {"epochs": 2})), tmp_path, resume=False)
    with refuse_waiting(trainer):
        trainer.run()
    assert trainer.progress.step > 2


@pytest.mark.parametrize("decoder", ["recurrent", "transformer", "copying"])
def test_a_search_finds_the_sentences_that_it_finds_on_the_cpu(
    decoder: str, make_config: Callable[..., Any], tmp_path: Path
):
    config = make_config("translation", {"epochs": 4}, **DECODERS[decoder])
    trainer = Trainer(tasks.task_class("translation")(config), tmp_path, resume=False)
    trainer.run()
    part = trainer.validation.parts[""]
    source = part.task.collate(part.examples, list(range(20))).source
    found = {}
    for device in ("cuda", "cpu"):
        model = trainer.model.part("").to(device).eval()
        with torch.inference_mode():
            memory = model.encoder(source.to(torch.device(device)))
            found[device] = model.decoder.search(memory, SearchConfig(beam=5, max_length=30))
    assert [best.tokens for best, *_ in found["cuda"]] == [best.tokens for best, *_ in found["cpu"]]
    scores = [[best.score for best, *_ in found[device]] for device in ("cuda", "cpu")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_a_resumed_run_goes_on_as_if_it_had_not_been_stopped(make_config: Callable[..., Any], tmp_path: Path):
    def train(folder: str, epochs: int, *, resume: bool) -> dict[str, torch.Tensor]:
        config = make_config("translation", {"epochs": epochs, "schedule": "constant"})
        Trainer(tasks.task_class("translation")(config), tmp_path / folder, resume=resume).run()
        return load_file(tmp_path / folder / "last" / "training.safetensors")

    whole = train("whole", 2, resume=False)
    train("stopped", 1, resume=False)
    resumed = train("stopped", 2, resume=True)
    for name, weight in whole.items():  # sums of gradients have no fixed order on a GPU
        torch.testing.assert_close(resumed[name], weight, rtol=1e-2, atol=1e-3)
