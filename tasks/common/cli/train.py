"""The command ``train``."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro

import tasks
from tasks.common.cli.arguments import parse
from tasks.common.config import Config
from tasks.common.errors import UsageError, unknown_name
from tasks.common.files import save_json
from tasks.common.inference.loading import load_config
from tasks.common.training.trainer import Trainer

# Settings that may change when a run is resumed.
RESUMABLE = ("epochs", "max_minutes", "early_stopping_patience", "save_steps", "num_workers", "tensorboard")

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class TrainOptions(Generic[C]):
    """Train a model, or resume a run that was stopped."""

    config: Annotated[C, tyro.conf.arg(name="")]
    run: str | None = None
    """Run folder (default: runs/TASK-PRESET)."""
    resume: bool = False
    """Resume the run in that folder; its configuration is kept except for the flags given."""
    init_from: str | None = None
    """Start a new run with the configuration, vocabulary and weights of this one: for a second phase."""


def choose_preset(task: str, arguments: list[str]) -> tuple[str, list[str], Config]:
    """Split the arguments into the preset (demo, if none is named) and the flags.

    Returns:
        The name of the preset, the flags, and the preset's configuration.
    """
    presets = tasks.package(task).PRESETS
    is_named = bool(arguments) and not arguments[0].startswith("-")
    preset, flags = (arguments[0], arguments[1:]) if is_named else ("demo", arguments)
    if preset not in presets:
        raise unknown_name("preset", preset, presets)
    return preset, flags, presets[preset]()


def train(task: str, arguments: list[str]) -> None:
    """Run ``run.py TASK train [PRESET] [--flags]``."""
    preset, flags, config = choose_preset(task, arguments)
    program = f"run.py {task} train {preset}"
    options_class = TrainOptions[tasks.package(task).Config]
    options = parse(options_class, flags, program, TrainOptions(config))
    folder = Path(options.run or f"runs/{task}-{preset}")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--run {folder} is a file; name a folder")
    exists = (folder / "config.json").is_file()
    if exists and not options.resume:
        raise UsageError(f"{folder} holds a run already: continue it with --resume, or name another folder with --run")
    if options.resume:
        if not exists:
            raise UsageError(f"--resume: there is no run in {folder}; name its folder with --run")
        saved = load_config(task, folder)
        options = parse(options_class, flags, program, TrainOptions(saved))
        check_resumable(saved, options.config)
    elif options.init_from:
        options = parse(options_class, flags, program, TrainOptions(load_config(task, Path(options.init_from))))
    init_from = Path(options.init_from) if options.init_from and not options.resume else None
    start_training(task, options.config, folder, resume=options.resume, init_from=init_from)


def check_resumable(saved: Config, wanted: Config) -> None:
    """Raise UsageError if ``wanted`` differs from the saved configuration in more than a resumed run may change."""
    changed = {name: getattr(wanted.train, name) for name in RESUMABLE}
    if dataclasses.replace(saved, search=wanted.search, train=dataclasses.replace(saved.train, **changed)) != wanted:
        names = ", ".join(f"train.{name}" for name in RESUMABLE)
        raise UsageError(f"--resume: this flag would make it another run; only {names} and search flags may change")


def start_training(task: str, config: Config, folder: Path, *, resume: bool, init_from: Path | None = None) -> None:
    """Train a run. Its configuration is saved once the data have been found valid."""
    trainer = Trainer(tasks.package(task).Task(config), folder, resume=resume, init_from=init_from)
    if trainer.is_main:
        save_json(folder / "config.json", {"task": task, "config": dataclasses.asdict(config)})
    trainer.run()


def train_if_needed(task: str, config: Config, folder: Path) -> None:
    """Train a run, resume it, or find it finished.

    Raises:
        UsageError: if the folder holds a run with another configuration.
    """
    exists = (folder / "config.json").is_file()
    if exists and load_config(task, folder) != config:
        raise UsageError(f"{folder} was trained with another configuration: name another --run, or remove that folder")
    start_training(task, config, folder, resume=exists)
