"""Trackers get settings, scores and plots of attention, a resumed run goes on in them, and none can stop training."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.tracking import GeneralTracker
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from decoders.config import SearchConfig
from tasks.common.data.config import BatchConfig
from tasks.common.task import Task
from tasks.common.task_group import TaskGroup
from tasks.common.training import tracking
from tasks.common.training.config import TrainConfig
from tasks.common.training.processes import TrainingProcesses
from tasks.common.training.tracking import RunTracker, TrackedRun, TrackerKind
from tasks.common.training.trainer import Trainer
from tasks.image_captioning import PRESETS as IMAGE_PRESETS
from tasks.joint.config import join
from tasks.joint.task import JointTask
from tasks.translation import PRESETS
from tasks.translation.task import Translation


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> str:
    """Parallel files with the beginning of the toy world."""
    folder = tmp_path_factory.mktemp("data")
    save_text_pairs(folder, train=200, validation=30)
    return str(folder)


@pytest.fixture
def make_task(data: str) -> Callable[..., Task]:
    def make(track: Any, epochs: int = 1, **changes: Any) -> Task:
        settings = TrainConfig(epochs=epochs, average_checkpoints=0, track=track, **changes)
        sizes, search = BatchConfig(max_sources=60), SearchConfig(max_length=5)  # plots of long sentences take long
        config = dataclasses.replace(PRESETS["tiny"](), data=data, batch=sizes, train=settings, search=search)
        return Translation(config)

    return make


@pytest.fixture
def joint_task(data: str) -> TaskGroup:
    search = SearchConfig(max_length=5)
    parts = {
        "translation": dataclasses.replace(PRESETS["tiny"](), data=data, search=search),
        "image_captioning": dataclasses.replace(IMAGE_PRESETS["tiny"](), num_scenes=48, search=search),
    }
    joint = join(parts)
    return JointTask(dataclasses.replace(joint, train=dataclasses.replace(joint.train, epochs=1, track="tensorboard")))


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def read_events(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return events


class FakeTracker(GeneralTracker):
    """Remembers what it is told; fails at the calls whose names it is given."""

    name = "fake"
    requires_logging_directory = False

    def __init__(self, *failing: str):
        super().__init__()
        self.failing, self.opened, self.calls = failing, [], []

    @property
    def tracker(self) -> None:
        return None

    def call(self, name: str, *values: Any) -> None:
        self.calls.append((name, *values))
        if name in self.failing:
            raise ConnectionError("the server\ncan't be reached")

    def open(self, run: TrackedRun) -> tuple[GeneralTracker, str]:
        self.opened.append(run)
        self.call("open")
        return self, "id-7"

    def store_init_configuration(self, values: dict) -> None:
        self.call("store", values)

    def log(self, values: dict, step: int | None = None, **_: Any) -> None:
        self.call("log", values, step)

    def finish(self) -> None:
        self.call("finish")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeTracker]:
    """Put a fake tracker in the place of W&B's."""

    def make(*failing: str, settings_change: bool = False) -> FakeTracker:
        tracker = FakeTracker(*failing)

        def log_image(own: FakeTracker, name: str, _: Any, step: int) -> None:
            own.call("image", name, step)

        kind = TrackerKind("json", tracker.open, log_image, settings_change)
        monkeypatch.setitem(tracking.TRACKERS, "wandb", kind)
        return tracker

    return make


def test_tensorboard_has_what_the_log_has_and_plots_of_attention(make_task: Callable[..., Task], tmp_path: Path):
    Trainer(make_task("tensorboard"), tmp_path, resume=False).run()
    events, record = read_events(tmp_path), records(tmp_path)[0]
    assert events.Scalars("validation/bleu")[0].value == pytest.approx(record["validation"]["bleu"], rel=1e-5)
    assert (events.Scalars("loss")[0].step, events.Scalars("lr")[0].step) == (record["step"], record["step"])
    assert events.Tags()["images"] == ["attention/1", "attention/2"]
    plot = events.Images("attention/1")[0]
    assert (plot.step, plot.width > 100, plot.height > 100) == (record["step"], True, True)


def test_tensorboard_has_the_scores_and_plots_of_each_part_of_a_joint_run(joint_task: TaskGroup, tmp_path: Path):
    Trainer(joint_task, tmp_path, resume=False).run()
    events, (record,) = read_events(tmp_path), records(tmp_path)
    scores = record["validation"]
    expected = {
        "validation/nll": scores["nll"],
        "validation/mean score": scores["mean score"],
        "validation/translation/bleu": scores["translation bleu"],
        "validation/image_captioning/nll": scores["image_captioning nll"],
        "losses/translation": record["losses"]["translation"],
    }
    for name, value in expected.items():
        assert events.Scalars(name)[0].value == pytest.approx(value, rel=1e-5), name
    assert {"attention/translation/1", "attention/image_captioning/1"} <= set(events.Tags()["images"])


def test_a_resumed_run_goes_on_in_tensorboard_and_hides_what_was_not_saved(
    make_task: Callable[..., Task], tmp_path: Path
):
    Trainer(make_task("tensorboard"), tmp_path, resume=False).run()
    with RunTracker("tensorboard", tmp_path, make_task("none").config, resume_at=0) as killed:
        killed.log({"loss": 99.0}, dict, step=8)  # after the last saved state
    Trainer(make_task("tensorboard", epochs=2), tmp_path, resume=True).run()
    first, second = records(tmp_path)
    assert first["step"] < 8 <= second["step"]
    logged = [(event.step, event.value) for event in read_events(tmp_path).Scalars("loss")]
    assert logged == [(each["step"], pytest.approx(each["loss"], rel=1e-5)) for each in (first, second)]


@pytest.mark.parametrize("settings_change", [False, True])
def test_a_resumed_run_goes_on_in_the_tracked_run_whose_settings_are_stored_again_if_they_can_change(
    settings_change: bool, make_task: Callable[..., Task], tmp_path: Path, fake: Callable[..., FakeTracker]
):
    tracker = fake(settings_change=settings_change)
    Trainer(make_task("wandb"), tmp_path, resume=False).run()
    Trainer(make_task("wandb", epochs=2), tmp_path, resume=True).run()
    first, second = (each["step"] for each in records(tmp_path))
    assert tracker.opened == [TrackedRun(tmp_path, None, 0), TrackedRun(tmp_path, "id-7", first)]
    evaluation = ["image", "image", "log", "finish"]
    again = ["store"] if settings_change else []
    assert [name for name, *_ in tracker.calls] == ["open", "store", *evaluation, "open", *again, *evaluation]
    settings = [call[1] for call in tracker.calls if call[0] == "store"]
    assert [each["train.epochs"] for each in settings] == [1, 2][: len(settings)]
    assert settings[0]["decoder.kind"] == "recurrent"
    assert {type(value) for value in settings[0].values()} <= {bool, int, float, str}
    assert [call[-1] for call in tracker.calls if call[0] == "log"] == [first, second]


def test_a_new_run_in_a_folder_is_a_new_tracked_run(
    make_task: Callable[..., Task], tmp_path: Path, fake: Callable[..., FakeTracker]
):
    tracker = fake()
    (tmp_path / tracking.IDS_FILE).write_text('{"wandb": "of a run that has been removed"}')
    Trainer(make_task("wandb"), tmp_path, resume=False).run()
    assert tracker.opened == [TrackedRun(tmp_path, None, 0)]
    assert json.loads((tmp_path / tracking.IDS_FILE).read_text()) == {"wandb": "id-7"}


@pytest.mark.parametrize("failing", ["open", "store", "image", "log", "finish"])
def test_a_tracker_that_fails_is_one_warning(
    failing: str,
    make_task: Callable[..., Task],
    tmp_path: Path,
    fake: Callable[..., FakeTracker],
    capfd: pytest.CaptureFixture[str],
):
    tracker = fake(failing)
    with RunTracker("wandb", tmp_path, make_task("wandb").config, resume_at=None) as run:
        for step in (1, 2):
            run.log({"loss": 1.0}, lambda: {"attention": np.zeros((2, 2, 3), dtype=np.uint8)}, step)
    names = [name for name, *_ in tracker.calls]
    # What fails while training is tried again.
    assert names.count(failing) == (2 if failing in ("image", "log") else 1)
    assert capfd.readouterr().err == (
        "warning: wandb does not record all of this run, training goes on (ConnectionError: the server can't be "
        "reached)\n"
    )


def test_training_goes_on_if_plots_or_scores_can_not_be_sent(
    make_task: Callable[..., Task], tmp_path: Path, fake: Callable[..., FakeTracker]
):
    tracker = fake("image")
    Trainer(make_task("wandb"), tmp_path, resume=False).run()
    assert "image" in [name for name, *_ in tracker.calls]
    assert len(records(tmp_path)) == 1 and (tmp_path / "domain.json").is_file()


def test_the_tracker_changes_no_step_of_training(make_task: Callable[..., Task], tmp_path: Path):
    losses = []
    for track in ("none", "tensorboard"):
        Trainer(make_task(track, epochs=2), tmp_path / track, resume=False).run()
        losses.append([(each["loss"], each["validation"]) for each in records(tmp_path / track)])
    assert losses[0] == losses[1]


def test_processes_that_are_not_the_main_one_track_nothing(
    make_task: Callable[..., Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    Trainer(make_task("none"), tmp_path, resume=False)  # the main one writes the vocabulary

    class OtherProcesses(TrainingProcesses):
        def __init__(self, supports_mps: bool, *, uses_all_parameters: bool):
            super().__init__(supports_mps, uses_all_parameters=uses_all_parameters)
            self.is_main = False

    monkeypatch.setattr("tasks.common.training.trainer.TrainingProcesses", OtherProcesses)
    trainer = Trainer(make_task("tensorboard"), tmp_path, resume=False)
    trainer.run()
    assert not (tmp_path / "tensorboard").exists() and not (tmp_path / "metrics.jsonl").read_text()


@pytest.mark.usefixtures("drawn_learning_curves")
def test_every_run_has_its_learning_curves_as_a_plot_that_is_renewed(make_task: Callable[..., Task], tmp_path: Path):
    plot = tmp_path / "plots" / "learning_curves.png"
    Trainer(make_task("none"), tmp_path, resume=False).run()
    first = plot.read_bytes()
    Trainer(make_task("none", epochs=2), tmp_path, resume=True).run()
    assert plot.read_bytes() != first
    with Image.open(plot) as image:
        assert image.format == "PNG"
    assert [each.name for each in plot.parent.iterdir()] == [plot.name]
