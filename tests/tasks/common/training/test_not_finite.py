"""Losses, gradients and scores that are not finite: training stops in one line, and keeps what was good before."""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from decoders.config import SearchConfig
from tasks.common.data.config import BatchConfig
from tasks.common.errors import UsageError
from tasks.common.training.batches import StepBatches
from tasks.common.training.checkpoints import read_weights
from tasks.common.training.config import TrainConfig
from tasks.common.training.trainer import Trainer
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task

NUM_STEPS = 4  # an epoch of 40 rows


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> str:
    folder = tmp_path_factory.mktemp("data")
    save_text_pairs(folder, train=40, validation=2)
    return str(folder)


@pytest.fixture
def make_trainer(data: str, tmp_path: Path) -> Callable[..., Trainer]:
    """Make a trainer that evaluates after each step of ten rows, in the same folder each time."""

    def make(resume: bool = False, **changes: object) -> Trainer:
        train = TrainConfig(**{"epochs": 1, "lr": 1e-3, "average_checkpoints": 0, "eval_steps": 1} | changes)
        config = dataclasses.replace(
            PRESETS["tiny"](),
            data=data,
            batch=BatchConfig(max_sources=10),
            search=SearchConfig(max_length=4),
            train=train,
        )
        return Trainer(Task(config), tmp_path, resume=resume)

    return make


def spoil_gradients(trainer: Trainer, value: float, steps: range) -> None:
    """Replace an entry of a gradient by a value in some steps of the training."""

    def spoil(gradient: Tensor) -> Tensor:
        if trainer.progress.step in steps:
            gradient = gradient.clone()
            gradient.view(-1)[0] = value
        return gradient

    next(trainer.model.parameters()).register_hook(spoil)


@pytest.mark.parametrize(("value", "max_grad_norm", "precision"), [(math.nan, 0.0, "no"), (math.inf, 1.0, "bf16")])
def test_a_gradient_that_is_not_finite_stops_the_run_before_it_harms_the_weights(
    value: float, max_grad_norm: float, precision: str, make_trainer: Callable[..., Trainer], tmp_path: Path
):
    trainer = make_trainer(precision=precision, max_grad_norm=max_grad_norm)
    spoil_gradients(trainer, value, range(2, 3))
    with pytest.raises(UsageError) as raised:
        trainer.run()
    message = str(raised.value)
    assert f"the gradient became {value} in step 3 on the training rows " in message
    assert f"lower train.lr{' or set train.precision no' if precision == 'bf16' else ''} in a new run" in message
    assert message.endswith(f"--init-from {tmp_path} begins with its best weights so far")
    assert all(weights.isfinite().all() for weights in read_weights(tmp_path / "best.safetensors").values())

    resumed = make_trainer(resume=True, precision=precision, max_grad_norm=max_grad_norm)
    assert resumed.progress.step == 2
    resumed.run()
    assert resumed.progress.step == NUM_STEPS and resumed.progress.is_finished


@pytest.mark.parametrize("spoiled", ["gradient", "loss"])
def test_a_step_that_is_not_finite_changes_nothing_although_it_is_noticed_a_step_later(
    spoiled: str, make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
):
    trainer = make_trainer(eval_steps=100, save_steps=100)
    compute, update = trainer.forward_backward, trainer.update_parameters
    weights: list[list[Tensor]] = []

    def spoil_loss(step: StepBatches) -> tuple[Tensor, int]:
        losses, tokens = compute(step)
        return (losses * math.inf if trainer.progress.step == 2 else losses), tokens

    def record(loss: Tensor) -> tuple[Tensor, Tensor]:
        norm_and_scale = update(loss)
        weights.append([weight.detach().clone() for weight in trainer.model.parameters()])
        return norm_and_scale

    if spoiled == "gradient":
        spoil_gradients(trainer, math.nan, range(2, 3))
    else:
        monkeypatch.setattr(trainer, "forward_backward", spoil_loss)
    monkeypatch.setattr(trainer, "update_parameters", record)
    with pytest.raises(UsageError, match=rf"the {spoiled} became (nan|inf) in step 3 on the training rows "):
        trainer.run()
    assert len(weights) == 4  # the next step was taken already
    assert all(torch.equal(before, after) for before, after in zip(weights[1], weights[2], strict=True))
    assert not all(torch.equal(before, after) for before, after in zip(weights[0], weights[1], strict=True))
    assert make_trainer(resume=True, eval_steps=100, save_steps=100).progress.step == 0  # nothing was saved


@pytest.mark.parametrize(("overflows", "scale"), [(range(1), 2.0), (range(1, 3), 1.0)])
def test_an_overflow_in_float16_skips_a_step_and_lowers_the_scale(
    overflows: range, scale: float, make_trainer: Callable[..., Trainer]
):
    trainer = make_trainer()
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    spoil_gradients(trainer, math.inf, overflows)
    before, weights = {}, dict(trainer.model.named_parameters())
    evaluate = trainer.evaluate

    def compare_weights() -> None:
        is_same = all(torch.equal(weight, before.get(name, weight)) for name, weight in weights.items())
        assert trainer.progress.step == 1 or is_same == (trainer.progress.step - 1 in overflows)
        before.update((name, weight.detach().clone()) for name, weight in weights.items())
        evaluate()

    trainer.evaluate = compare_weights
    trainer.run()
    assert trainer.scaler.get_scale() == scale
    assert trainer.progress.is_finished


def test_gradients_that_overflow_at_every_scale_stop_the_run(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tasks.common.training.trainer.autocast", lambda *arguments: contextlib.nullcontext())
    trainer = make_trainer()
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    trainer.config = dataclasses.replace(trainer.config, precision="fp16")
    spoil_gradients(trainer, math.nan, range(NUM_STEPS))
    message = (
        r"the gradients overflow in fp16 in step 2, .*; lower train\.lr or set train\.precision bf16 or no in a new"
    )
    with pytest.raises(UsageError, match=message):
        trainer.run()
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


def test_a_validation_loss_that_is_not_finite_stops_the_run_and_replaces_no_weights(
    make_trainer: Callable[..., Trainer], tmp_path: Path
):
    trainer = make_trainer()
    evaluate = trainer.evaluate

    def spoil_second() -> None:
        if trainer.progress.step == 2:
            next(trainer.model.parameters()).data.fill_(math.inf)
        evaluate()

    trainer.evaluate = spoil_second
    with pytest.raises(
        UsageError, match=r"the log-likelihood of the validation data is not finite after step 2; check them"
    ):
        trainer.run()
    assert (tmp_path / "best.safetensors").is_file()
    assert len((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_scores_of_sentences_that_are_not_finite_stop_the_run_too(make_trainer: Callable[..., Trainer]):
    trainer = make_trainer()
    trainer.model.decoder.logits = lambda features: torch.full((*features.shape[:-1], 42), math.nan)
    trainer.validation.parts[""].measure = lambda model: {"nll": 1.0}
    message = "the score of a sentence of the validation data is not finite after step 0; check them, lower train.lr in"
    with pytest.raises(UsageError, match=message):
        trainer.evaluate()
