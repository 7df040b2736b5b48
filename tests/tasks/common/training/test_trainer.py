"""Training: a stopped run resumes exactly, processes share the work, and losses that are not finite are reported."""

import dataclasses
import itertools
import json
import math
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from decoders.config import SearchConfig
from tasks.common.data.config import BatchConfig
from tasks.common.errors import UsageError
from tasks.common.inference.domain import Domain
from tasks.common.training import validation
from tasks.common.training.attention_monitor import FocusMonitor
from tasks.common.training.batches import StepBatches
from tasks.common.training.checkpoints import BestCheckpoints, save_weights
from tasks.common.training.config import TrainConfig
from tasks.common.training.taken_step import HostCopy, TakenStep
from tasks.common.training.trainer import Trainer
from tasks.run import main
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task

pytestmark = pytest.mark.usefixtures("on_cpu")
NO_SIGNALS = "on Windows, a process is ended without a signal to which it could react"
# Dropout is on: a resumed run must repeat its random masks.
SMALL = ["--batch.max-sources", "40", "--encoder.dropout", "0.1", "--decoder.dropout", "0.1"]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> str:
    """Parallel files with the beginning of the toy world."""
    folder = tmp_path_factory.mktemp("data")
    save_text_pairs(folder, train=1200, validation=60)
    return str(folder)


def arguments(run: Path, *flags: str) -> list[str]:
    return ["translation", "train", "tiny", "--run", str(run), *flags]


def records(run: Path) -> list[dict]:
    """The records of metrics.jsonl without times."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("seconds", "tokens_per_second")}
        for line in lines
    ]


def saved_steps(run: Path) -> int:
    """The number of steps in the saved state of training; 0 before there is one."""
    path = run / "last" / "training.safetensors"
    if not path.is_file():
        return 0
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["progress"])["step"]


def assert_same_weights(one: Path, other: Path, tolerance: float = 0.0) -> None:
    left, right = load_file(one / "best.safetensors"), load_file(other / "best.safetensors")
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=0.0, atol=tolerance)


@pytest.fixture(scope="module")
def uninterrupted(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "uninterrupted"
    main(arguments(run, "--data", data, *SMALL))
    return run


@pytest.mark.skipif(os.name == "nt", reason=NO_SIGNALS)
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_stopped_run_resumes_to_the_same_weights_as_an_uninterrupted_one(
    uninterrupted: Path, data: str, tmp_path: Path, name: str, start_program: Callable[..., Any]
):
    number = signal.Signals[name]  # Windows has no SIGKILL
    run = tmp_path / "stopped"
    program = start_program(*arguments(run, "--data", data, *SMALL, "--train.save-steps", "7"))
    while not saved_steps(run):
        assert program.is_running(), program.finish()
        time.sleep(0.02)
    program.send_signal(number)
    output = program.finish(-number if name == "SIGKILL" else 128 + number)
    assert name == "SIGKILL" or "continue with --resume" in output
    assert len(records(run)) < len(records(uninterrupted)), "it was stopped too late for the test"
    main(arguments(run, "--resume"))
    assert records(run) == records(uninterrupted)
    assert_same_weights(run, uninterrupted)


def test_a_finished_run_has_nothing_to_resume(uninterrupted: Path, capfd: pytest.CaptureFixture[str]):
    before = (uninterrupted / "metrics.jsonl").read_bytes()
    main(arguments(uninterrupted, "--resume"))
    assert "nothing to resume" in capfd.readouterr().err
    assert (uninterrupted / "metrics.jsonl").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason=NO_SIGNALS)
def test_a_run_stopped_where_an_evaluation_is_due_does_not_miss_it(
    data: str, tmp_path: Path, start_program: Callable[..., Any], capfd: pytest.CaptureFixture[str]
):
    run = tmp_path / "stopped"
    flags = ["--data", data, "--train.eval-steps", "1", "--train.early-stopping-patience", "0", "--train.epochs", "1"]
    program = start_program(*arguments(run, *flags))
    while not (run / "metrics.jsonl").is_file() or len(records(run)) < 2:
        assert program.is_running(), program.finish()
        time.sleep(0.02)
    program.send_signal(signal.SIGTERM)
    program.finish(128 + signal.SIGTERM)
    assert [record["step"] for record in records(run)] == list(range(1, len(records(run)) + 1))
    with pytest.raises(SystemExit):
        main(arguments(run, "--resume", "--batch.max-sources", "7"))
    assert "--resume: --batch.max-sources would make it another run" in capfd.readouterr().err


def test_batches_prepared_by_workers_train_the_same_model(data: str, uninterrupted: Path, tmp_path: Path):
    run = tmp_path / "workers"
    main(arguments(run, "--data", data, *SMALL, "--train.num-workers", "1"))
    assert_same_weights(run, uninterrupted)


def test_two_processes_train_and_evaluate_like_one(data: str, tmp_path: Path, run_in_two_processes: Callable[..., str]):
    flags = ["--data", data, "--batch.max-sources", "50", "--train.epochs", "1"]
    one, two = tmp_path / "one", tmp_path / "two"
    main(arguments(one, *flags, "--train.grad-accum-steps", "2"))
    assert "2 x cpu" in run_in_two_processes(*arguments(two, *flags))
    assert_same_weights(one, two, tolerance=1e-5)
    alone, together = (records(run)[-1]["validation"] for run in (one, two))
    assert alone == pytest.approx(together, rel=1e-5)


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> str:
    folder = tmp_path_factory.mktemp("small_data")
    save_text_pairs(folder, train=400, validation=60)
    return str(folder)


@pytest.fixture
def small_task(small_data: str) -> Callable[..., Task]:
    """Make a task of 20 updates an epoch, with the given settings of training."""

    def build(**changes: object) -> Task:
        learning = dataclasses.replace(TrainConfig(epochs=1, lr=5e-3, average_checkpoints=0), **changes)
        return Task(
            dataclasses.replace(
                PRESETS["tiny"](),
                data=small_data,
                batch=BatchConfig(max_sources=20),
                train=learning,
                search=SearchConfig(max_length=12),
            )
        )

    return build


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_rows(small_task: Callable[..., Task], tmp_path: Path):
    with pytest.raises(UsageError, match=r"the loss became (nan|inf) in step \d on the training rows \d+, \d+"):
        Trainer(small_task(lr=1e30, max_grad_norm=0.0), tmp_path, resume=False).run()
    assert not (tmp_path / "best.safetensors").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_process_stops_when_the_loss_of_another_one_is_not_finite(
    value: float, small_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer = Trainer(small_task(), tmp_path, resume=False)
    step = TakenStep(1, StepBatches([], "", False, num_batches=1, ends_epoch=False), HostCopy(torch.ones(4)))
    trainer.check_finite("loss", 1.0, step)
    monkeypatch.setattr(trainer.processes, "gather", lambda own: [own, value])
    monkeypatch.setattr(trainer.processes, "gather_objects", lambda own: [own, [7, 3]])
    with pytest.raises(UsageError, match=rf"the loss became {value} in step 1 on the training rows 3, 7; check"):
        trainer.check_finite("loss", 1.0, step)


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which each reading, so each update and each evaluation, is a second after the last one."""
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))


@pytest.mark.usefixtures("ticking")
def test_minutes_set_the_length_of_training_and_its_annealing_and_evaluations(
    small_task: Callable[..., Task], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    # The rate rises for 400 updates at most, and an epoch has 20, so that 4 epochs are less than 100 updates.
    task = small_task(epochs=4, schedule="cosine", warmup_steps=400, max_minutes=100 / 60)
    trainer = Trainer(task, tmp_path, resume=False)
    trainer.run()
    logged = records(tmp_path)
    assert logged[-1]["lr"] < 0.01 * 5e-3
    assert max(record["lr"] for record in logged) > 0.9 * 5e-3
    assert 4 <= len(logged) <= 9 and logged[-1]["step"] == trainer.progress.step > 4 * 20
    assert trainer.progress.seconds == pytest.approx(100, abs=3)
    output = " ".join(capfd.readouterr().err.split())
    assert re.search(
        r"planned: \d+ updates in about 1\.66667 minutes, warm-up [89], evaluation every 1\d updates ", output
    )
    assert "it was trained for 1.66667 minutes; to train further, use --resume with more --train.max-minutes" in output


@pytest.mark.usefixtures("ticking")
def test_a_resumed_run_keeps_to_its_plan_unless_its_minutes_change(small_task: Callable[..., Task], tmp_path: Path):
    def trainer(minutes: float, resume: bool) -> Trainer:
        return Trainer(small_task(schedule="cosine", max_minutes=minutes), tmp_path, resume=resume)

    stopped = trainer(50 / 60, resume=False)
    stopped.evaluate = lambda: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        stopped.run()
    resumed = trainer(50 / 60, resume=True)
    assert resumed.plan.state_dict() == stopped.plan.state_dict()
    assert 0 < resumed.progress.step < resumed.plan.num_steps
    resumed.run()
    assert resumed.progress.seconds == pytest.approx(50, abs=3)
    further = trainer(75 / 60, resume=True)
    further.run()
    assert further.progress.seconds == pytest.approx(75, abs=3)
    assert records(tmp_path)[-1]["lr"] < 0.01 * 5e-3


def test_a_run_that_patience_has_ended_says_so_and_which_flag_trains_further(
    small_task: Callable[..., Task], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    still = {"lr": 1e-12, "eval_steps": 1, "early_stopping_patience": 2}
    Trainer(small_task(**still, epochs=9), tmp_path, resume=False).run()
    ending = "2 evaluations brought no improvement; to train further, use --resume with more --train.early-stopping"
    assert ending in " ".join(capfd.readouterr().err.split())
    Trainer(small_task(**still, epochs=30), tmp_path, resume=True).run()
    assert f"nothing to resume: {ending}" in " ".join(capfd.readouterr().err.split())
    further = Trainer(small_task(**still | {"early_stopping_patience": 4}, epochs=9), tmp_path, resume=True)
    further.run()
    assert further.progress.step > 3


def test_the_likelihood_selects_the_checkpoint_while_the_metric_is_noise(
    small_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    trainer = Trainer(small_task(eval_steps=5), tmp_path, resume=False)
    references = [sentence for (sentence,) in trainer.validation.parts[""].examples["references"]]
    shifted = [*references[30:], *references[:30]]
    outputs = iter([[references[0]] * 60, ["a"] * 60, references, shifted])
    monkeypatch.setattr(validation, "generate_texts", lambda *arguments: next(outputs))
    trainer.run()
    scores = [record["validation"] for record in records(tmp_path)]
    assert scores[0]["bleu"] > scores[1]["bleu"]
    assert all(later["nll"] < earlier["nll"] for earlier, later in itertools.pairwise(scores))
    best = re.findall(r"step (\d+) of .* \(best (\w+)\)", capfd.readouterr().err)
    assert best == [("5", "nll"), ("10", "nll"), ("15", "bleu")]


def test_more_workers_than_cores_are_refused(small_task: Callable[..., Task], tmp_path: Path):
    with pytest.raises(UsageError, match=r"train\.num_workers is 5000; allowed is at most the number of cores, \d"):
        Trainer(small_task(num_workers=5000), tmp_path, resume=False)


def test_training_stops_early_and_the_learning_rate_falls_on_a_plateau(small_task: Callable[..., Task], tmp_path: Path):
    # A learning rate this small changes nothing in the output of greedy search.
    task = small_task(epochs=50, lr=1e-12, early_stopping_patience=3, plateau_patience=1, eval_steps=1)
    trainer = Trainer(task, tmp_path, resume=False)
    trainer.run()
    assert trainer.progress.step == 4
    assert [record["lr"] for record in records(tmp_path)] == pytest.approx([1e-12, 1e-12, 1e-12, 5e-13])


def test_the_best_checkpoints_are_averaged_when_that_is_better(small_task: Callable[..., Task], tmp_path: Path):
    trainer = Trainer(small_task(epochs=2, average_checkpoints=2, eval_steps=10), tmp_path, resume=False)
    trainer.run()
    assert trainer.progress.best_checkpoints == []
    assert not list((tmp_path / "checkpoints").iterdir())
    trainer.group.load_state_dict(json.loads((tmp_path / "vocabulary.json").read_text(encoding="utf-8")))
    model = trainer.group.build_model()
    missing = model.load_state_dict(load_file(tmp_path / "best.safetensors"), strict=False)
    assert not missing.unexpected_keys
    trainer.model.load_state_dict(model.state_dict())
    _, rank = trainer.validation.score(trainer.model)
    assert rank >= (trainer.progress.best_rank[0], trainer.progress.best_rank[1] - 1e-6)


def test_a_finished_run_that_is_trained_further_averages_what_is_new(
    small_task: Callable[..., Task], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    Trainer(small_task(epochs=1, average_checkpoints=3, eval_steps=10), tmp_path, resume=False).run()
    capfd.readouterr()
    Trainer(small_task(epochs=2, average_checkpoints=3, eval_steps=10), tmp_path, resume=True).run()
    assert "average of 2 checkpoints" in capfd.readouterr().err
    assert [record["step"] for record in records(tmp_path)] == [10, 20, 30, 40]


def test_an_average_that_was_kept_is_replaced_only_by_what_is_better(small_task: Callable[..., Task], tmp_path: Path):
    def train(epochs: int, ranks: list[float], *, resume: bool) -> Trainer:
        task = small_task(epochs=epochs, average_checkpoints=2, early_stopping_patience=0)
        trainer = Trainer(task, tmp_path, resume=resume)
        scores = iter(ranks)  # of the evaluations and, at the end, of the average
        trainer.validation.score = lambda model: ({"nll": -(rank := next(scores))}, (False, rank))
        trainer.run()
        return trainer

    trainer = train(2, [-5.0, -4.0, -3.0], resume=False)
    average = load_file(tmp_path / "best.safetensors")
    state = load_file(tmp_path / "last" / "training.safetensors")
    name, last = next((name, weight) for name, weight in trainer.model.named_parameters() if weight.dim() > 1)
    assert not torch.equal(average[name], last)
    assert torch.equal(state[f"model.{name}"], last)  # training goes on from its own weights
    train(4, [-3.5, -3.4, -3.2], resume=True)
    assert torch.equal(load_file(tmp_path / "best.safetensors")[name], average[name])
    train(5, [-2.0], resume=True)
    assert not torch.equal(load_file(tmp_path / "best.safetensors")[name], average[name])


def test_a_run_that_is_killed_at_its_end_is_finished_when_it_is_resumed(
    small_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for average in (0, 2):
        folder, flags = tmp_path / str(average), {"average_checkpoints": average, "eval_steps": 10}
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Domain, "measure", interrupt)
            Trainer(small_task(**flags), folder, resume=False).run()
        assert not (folder / "domain.json").exists()
        Trainer(small_task(**flags), folder, resume=True).run()
        assert (folder / "domain.json").is_file()
        assert "nothing to resume" not in capfd.readouterr().err
        Trainer(small_task(**flags), folder, resume=True).run()
        assert "nothing to resume" in capfd.readouterr().err


def test_lost_evaluations_are_noticed_and_training_goes_on(
    small_task: Callable[..., Task], tmp_path: Path, capfd: pytest.CaptureFixture
):
    Trainer(small_task(epochs=1, eval_steps=10), tmp_path, resume=False).run()
    log = tmp_path / "metrics.jsonl"
    whole = log.read_bytes()
    for content, num_left in ((whole[:-9], 1), (b"", 0)):
        log.write_bytes(content)
        Trainer(small_task(epochs=2, eval_steps=10), tmp_path, resume=True)
        assert f"metrics.jsonl has {num_left} of the 2 evaluations" in capfd.readouterr().err
        assert [record["step"] for record in records(tmp_path)] == [10][:num_left]
    for epochs in (2, 3):
        Trainer(small_task(epochs=epochs, eval_steps=10), tmp_path, resume=True).run()
    assert [record["step"] for record in records(tmp_path)] == [30, 40, 50, 60]


def test_broken_weights_are_noticed_before_further_training(small_task: Callable[..., Task], tmp_path: Path):
    Trainer(small_task(epochs=1), tmp_path, resume=False).run()
    os.truncate(tmp_path / "best.safetensors", 1000)
    with pytest.raises(UsageError, match=r"best\.safetensors is not a readable checkpoint"):
        Trainer(small_task(epochs=2), tmp_path, resume=True)


def test_a_broken_checkpoint_is_noticed_and_not_averaged(tmp_path: Path, capfd: pytest.CaptureFixture):
    for step in (1, 2, 3):
        save_weights(tmp_path / f"{step}.safetensors", {"weight": torch.full((1,), float(step))})
    os.truncate(tmp_path / "3.safetensors", 20)
    entries: list[list[int | float]] = [[True, 0.0, 1], [True, 0.0, 2], [True, 0.0, 3]]
    averaged = BestCheckpoints(tmp_path, entries, limit=3).average()
    assert averaged is not None and averaged["weight"].tolist() == [1.5]
    assert "3.safetensors is missing or broken" in capfd.readouterr().err


@pytest.mark.usefixtures("ticking")
def test_a_run_that_was_stopped_before_its_first_evaluation_can_end_there(
    small_task: Callable[..., Task], tmp_path: Path
):
    stopped = Trainer(small_task(max_minutes=1000 / 60), tmp_path, resume=False)
    update = stopped.update_parameters

    def stop_at_60(loss: Tensor) -> tuple[Tensor, Tensor]:
        if stopped.progress.step == 59:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(loss)

    stopped.update_parameters = stop_at_60
    with pytest.raises(SystemExit):
        stopped.run()
    assert not (tmp_path / "best.safetensors").exists()
    Trainer(small_task(max_minutes=30 / 60), tmp_path, resume=True).run()
    assert [record["step"] for record in records(tmp_path)] == [60]
    assert (tmp_path / "best.safetensors").is_file() and (tmp_path / "domain.json").is_file()


def test_examples_beyond_the_limits_are_skipped_and_a_limit_that_skips_all_is_refused(
    small_task: Callable[..., Task], tmp_path: Path
):
    task = small_task()
    limited = dataclasses.replace(task.config, batch=BatchConfig(max_sources=20, max_target_length=12))
    trainer = Trainer(Task(limited), tmp_path / "short", resume=False)
    assert 0 < trainer.batches.num_skipped < 400
    assert (
        max(max(trainer.batches.samplers[""].lengths[row]) for _, batch in trainer.batches.epoch(0) for row in batch)
        == 12
    )
    nothing = dataclasses.replace(limited, batch=BatchConfig(max_target_length=1))
    with pytest.raises(UsageError, match=r"longer than batch\.max_source_length .* or batch\.max_target_length"):
        Trainer(Task(nothing), tmp_path / "nothing", resume=False)


def test_fp16_on_a_cpu_is_refused(small_task: Callable[..., Task], tmp_path: Path):
    with pytest.raises(UsageError, match=r"fp16, which needs a GPU"):
        Trainer(small_task(precision="fp16"), tmp_path, resume=False)


def test_bf16_on_a_cpu_trains_like_float32(small_task: Callable[..., Task], tmp_path: Path):
    losses = {}
    for precision in ("no", "bf16"):
        folder = tmp_path / precision
        Trainer(small_task(epochs=2, precision=precision), folder, resume=False).run()
        losses[precision] = [record["loss"] for record in records(folder)]
    assert losses["bf16"] != losses["no"]  # it did compute in bf16
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.02)


def test_scheduled_sampling_trains(small_task: Callable[..., Task], tmp_path: Path):
    Trainer(small_task(epochs=2, scheduled_sampling="inverse_sigmoid", sampling_half=5), tmp_path, resume=False).run()
    first, second = records(tmp_path)
    assert second["loss"] < first["loss"]


def test_the_likelihood_is_logged_without_label_smoothing(small_task: Callable[..., Task], tmp_path: Path):
    for smoothing in (0.0, 0.3):
        Trainer(small_task(label_smoothing=smoothing), tmp_path / str(smoothing), resume=False).run()
    (plain,), (smoothed,) = (records(tmp_path / name) for name in ("0.0", "0.3"))
    assert plain["nll"] == pytest.approx(plain["loss"], rel=1e-5)
    assert smoothed["nll"] < smoothed["loss"] - 0.1
    assert "loss" not in smoothed["validation"]
    assert smoothed["validation"]["nll"] == pytest.approx(smoothed["nll"], rel=0.5)


def test_the_console_tells_the_unit_of_every_number(
    small_task: Callable[..., Task], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    task = small_task()
    task.attention_monitor = FocusMonitor()
    Trainer(task, tmp_path, resume=False).run()
    number = r"\d[\d,]*\.?\d*"
    losses = rf"loss {number} nats/token  nll {number} nats/token  {number} target tokens/s"
    scores = rf"bleu {number}  bleu_lowercase {number}  chrf {number}  nll {number} nats/token  entropy {number} bits"
    line = rf"^epoch 1  step 20 of 20  {losses}  validation: {scores}  \(best nll\)$"
    assert re.search(line, capfd.readouterr().err, re.MULTILINE)
