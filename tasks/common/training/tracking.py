"""Experiment trackers: TensorBoard, Weights & Biases, Trackio and MLflow, through Accelerate.

A run folder has one tracked run for each tracker, to which a resumed training appends. What a tracker raises is a
warning: training needs none of them.
"""

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.tracking import GeneralTracker, MLflowTracker, TensorBoardTracker, TrackioTracker, WandBTracker
from jaxtyping import UInt8

from tasks.common.config import ModelConfig
from tasks.common.console import console
from tasks.common.files import load_json, save_json
from tasks.common.training.config import TrackerName

PROJECT = "multimodal-seq2seq"  # where the tracker's own environment variable names no other one
IDS_FILE = "tracking.json"  # in the run folder: the id of the tracked run of each tracker
# Seconds. By default W&B asks for a login without a limit, and MLflow tries for minutes to reach its server.
WANDB_LIMITS = {"login_timeout": 30.0, "init_timeout": 30.0, "finish_timeout": 60.0}
MLFLOW_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
MAX_REASON = 200  # characters of an error in a warning

Pixels = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class TrackedRun:
    """A tracked run that is to be opened.

    Attributes:
        folder: The run folder.
        id: Its id; None for a new one.
        step: The step after which it goes on; 0 for a new one.
    """

    folder: Path
    id: str | None
    step: int


@dataclass(frozen=True)
class TrackerKind:
    """The use of a tracker, where Accelerate has no common way.

    Attributes:
        library: The module that it needs.
        open: Opens a tracked run; returns its tracker, which has been started, and its id.
        log_image: Logs an image by name, at a step.
        settings_change: Whether settings that are stored again, of a resumed run, replace the former ones. Trackio
            forgets those that are not; MLflow refuses others, and TensorBoard makes a new entry of them.
    """

    library: str
    open: Callable[[TrackedRun], tuple[GeneralTracker, str]]
    log_image: Callable[[Any, str, Pixels, int], None]
    settings_change: bool


def open_tensorboard(run: TrackedRun) -> tuple[GeneralTracker, str]:
    """Open the folder tensorboard/; what was logged after the step of a resumed run is hidden."""
    tracker = TensorBoardTracker("tensorboard", run.folder, purge_step=run.step + 1 if run.step else None)
    tracker.start()
    return tracker, "tensorboard"


def open_wandb(run: TrackedRun) -> tuple[GeneralTracker, str]:
    own_id = run.id or uuid.uuid4().hex
    tracker = WandBTracker(
        os.environ.get("WANDB_PROJECT", PROJECT),
        dir=run.folder,
        name=run.folder.name,
        id=own_id,
        resume="allow",
        settings=WANDB_LIMITS,
    )
    tracker.start()
    return tracker, own_id


def open_trackio(run: TrackedRun) -> tuple[GeneralTracker, str]:
    own_name = run.id or f"{run.folder.name}-{uuid.uuid4().hex[:8]}"  # a name is what it goes on by
    tracker = TrackioTracker(PROJECT, name=own_name, resume="allow")
    tracker.start()
    return tracker, own_name


def open_mlflow(run: TrackedRun) -> tuple[GeneralTracker, str]:
    for name, limit in MLFLOW_LIMITS.items():
        os.environ.setdefault(name, limit)
    tracker = MLflowTracker(PROJECT, run_id=run.id, run_name=run.folder.name)
    tracker.start()
    return tracker, str(tracker.tracker.info.run_id)


def log_trackio_image(tracker: TrackioTracker, name: str, pixels: Pixels, step: int) -> None:
    tracker.log({name: import_module("trackio").Image(pixels)}, step=step)


def log_mlflow_image(tracker: MLflowTracker, name: str, pixels: Pixels, step: int) -> None:
    import_module("mlflow").log_image(pixels, key=name, step=step)


TRACKERS: dict[str, TrackerKind] = {
    "tensorboard": TrackerKind(
        "tensorboard",
        open_tensorboard,
        lambda tracker, name, pixels, step: tracker.log_images({name: pixels[None]}, step=step, dataformats="NHWC"),
        settings_change=False,
    ),
    "wandb": TrackerKind(
        "wandb",
        open_wandb,
        lambda tracker, name, pixels, step: tracker.log_images({name: [pixels]}, step=step),
        settings_change=True,
    ),
    "trackio": TrackerKind("trackio", open_trackio, log_trackio_image, settings_change=True),
    "mlflow": TrackerKind("mlflow", open_mlflow, log_mlflow_image, settings_change=False),
}


def import_tracker(name: TrackerName) -> None:
    """Import the library of a tracker. Raises ModuleNotFoundError if it is not installed."""
    if name != "none":
        import_module(TRACKERS[name].library)


class RunTracker:
    """The tracker of a training, as a context in which it is open; none if its name is none.

    Of a process that was killed between an evaluation and its saved state, W&B ignores what a resumed run logs again,
    TensorBoard hides the former values, and the others have the same values twice.
    """

    def __init__(self, name: TrackerName, folder: Path, config: ModelConfig, resume_at: int | None):
        """Prepare the tracker.

        Args:
            name: Its name.
            folder: The run folder.
            config: The configuration, for the hyperparameters.
            resume_at: The step at which a run is resumed; None for a new run.
        """
        self.name, self.folder, self.config = name, folder, config
        self.ids: dict[str, str] = {}
        self.step = resume_at or 0
        if resume_at is not None and (folder / IDS_FILE).is_file():
            self.ids = load_json(folder / IDS_FILE)
        self.tracker: GeneralTracker | None = None
        self.has_warned = False

    def __enter__(self) -> "RunTracker":
        if self.name != "none":
            self.attempt(self.open)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.tracker is not None:
            self.attempt(self.tracker.finish)

    def open(self) -> None:
        """Open the tracked run, and store the configuration as its hyperparameters."""
        kind, known = TRACKERS[self.name], self.ids.get(self.name)
        self.tracker, own_id = kind.open(TrackedRun(self.folder, known, self.step))
        save_json(self.folder / IDS_FILE, self.ids | {self.name: own_id})
        if known is None or kind.settings_change:
            self.tracker.store_init_configuration(flatten(asdict(self.config), ".", to_hyperparameter))

    def log(self, scalars: Mapping[str, Any], render: Callable[[], Mapping[str, Pixels]], step: int) -> None:
        """Log what an evaluation has found.

        Args:
            scalars: Numbers by name, in groups of any depth.
            render: Makes images; called if there is a tracker.
            step: The number of updates so far.
        """
        if self.tracker is None:
            return
        tracker, log_image = self.tracker, TRACKERS[self.name].log_image

        def send() -> None:
            for name, pixels in render().items():
                log_image(tracker, name, pixels, step)
            tracker.log(flatten(scalars, "/"), step=step)

        self.attempt(send)

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something with the tracker; print a warning, once, if that fails."""
        try:
            action()
        except Exception as error:  # of a library, of the network or of a server
            if not self.has_warned:
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
                console.print(f"warning: {self.name} does not record all of this run, training goes on ({reason})")
            self.has_warned = True


def flatten(
    groups: Mapping[str, Any], separator: str, convert: Callable[[Any], Any] = lambda value: value
) -> dict[str, Any]:
    """Flatten groups of groups to one dictionary, whose names contain those of the groups."""
    flat: dict[str, Any] = {}
    for name, value in groups.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}{separator}{inner}": each for inner, each in flatten(value, separator, convert).items()}
        else:
            flat[name] = convert(value)
    return flat


def to_hyperparameter(value: Any) -> bool | int | float | str:
    """Return a setting as a number or a text, which is all that trackers take."""
    return value if isinstance(value, bool | int | float | str) else str(value)
