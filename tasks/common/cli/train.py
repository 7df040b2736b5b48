"""The command ``train``."""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import tyro

import tasks
from tasks.common.cli.arguments import parse, run_of_flag
from tasks.common.cli.flags import as_flag, flag_value, setting_types, typed_settings
from tasks.common.cli.kinds import get_setting
from tasks.common.cli.preset_choice import Preset, choose_preset
from tasks.common.config import ModelConfig
from tasks.common.console import IS_MAIN_PROCESS
from tasks.common.data.folders import is_utf8
from tasks.common.errors import UsageError
from tasks.common.files import lock_run, save_json
from tasks.common.inference.loading import check_model_size, load_config, task_of
from tasks.common.program import program
from tasks.common.training.checkpoints import state_file
from tasks.common.training.trainer import Trainer

# Settings that may change when a run is resumed.
RESUMABLE = ("epochs", "max_minutes", "early_stopping_patience", "save_steps", "num_workers", "track")
# Groups of settings that a run started with --init-from takes from the other run.
KEPT_GROUPS = {"vocabulary", "features", "frames"}
KEPT_SETTINGS = {"init", "encoder_from"}  # of the weights

C = TypeVar("C", bound=ModelConfig)


@dataclass(frozen=True)
class TrainOptions(Generic[C]):
    """Train a model, or resume a run that was stopped."""

    config: Annotated[C, tyro.conf.arg(name="")]
    run: str | None = None
    """Run folder (default: runs/TASK-PRESET)."""
    resume: bool = False
    """Resume the run in that folder; its configuration is kept except for the flags given."""
    init_from: str | None = None
    """Start a new run with the configuration, vocabulary and weights of this one: for a second phase. A joint model can
    also start with the encoders of runs of its tasks: RUN,RUN."""


def train(task: str, arguments: list[str]) -> None:
    """Run ``run.py TASK train [PRESET] [--flags]``."""
    preset = choose_preset(task, arguments)
    options, folder = parse_train(task, preset)
    continues = options.resume or options.init_from
    fitted = preset if continues else preset.fit(task, options.config)
    if fitted is not preset:
        options, folder = parse_train(task, fitted)
    run = whole_run(task, options.init_from)
    named = options.init_from.split(",") if options.init_from and not run else []
    encoders_from = [run_of_flag("--init-from", each) for each in named]
    start_training(task, options.config, folder, resume=options.resume, init_from=run, encoders_from=encoders_from)


def whole_run(task: str, init_from: str | None) -> Path | None:
    """Return the run of the same task that --init-from names; None if it names none, or runs for their encoders."""
    if init_from is None:
        return None
    takes_encoders = hasattr(tasks.package(task).Task, "start_from")
    if takes_encoders and "," in init_from:
        return None
    run = run_of_flag("--init-from", init_from)
    return None if takes_encoders and task_of(run) != task else run


def parse_train(task: str, preset: Preset) -> tuple[TrainOptions, Path]:
    """Parse the flags, with the values of the preset, or of the run named by --resume or --init-from, as defaults.

    Returns:
        The options, and the run folder.
    """
    flags, config = preset.flags, preset.config
    folder = Path(flag_value(flags, "run") or f"runs/{task}-{preset.name}")
    init_from = flag_value(flags, "init-from")
    if not is_utf8(folder):
        raise UsageError(f"--run {folder}: weights can't be saved there, since its name is not UTF-8; name another one")
    wants_help = not {"-h", "--help"}.isdisjoint(flags)
    resume = "--resume" in flags and not wants_help
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--run {folder} is a file; name a folder")
    if resume and init_from:
        raise UsageError("--init-from starts a new run, and --resume continues one: leave one of them out")
    exists = (folder / "config.json").is_file()
    if resume and not exists:
        raise UsageError(
            f"--resume: there is no run in {folder}, since it has no config.json; name its folder with --run"
        )
    if resume:
        config = load_config(task, folder)
    whole = None if wants_help else whole_run(task, init_from)
    if whole:
        config = load_config(task, whole)
    options_class = TrainOptions[type(config)]
    options = parse(options_class, flags, f"{program()} {task} train {preset.name}", TrainOptions(config))
    if not resume:
        check_unused(folder)
    if resume:
        check_resumable(config, options.config, flags)
    elif whole:
        check_initialized(config, options.config, flags)
    return options, folder


def check_unused(folder: Path) -> None:
    """Raise UsageError if the folder holds a run."""
    if (folder / "config.json").is_file():
        raise UsageError(f"{folder} holds a run already: continue it with --resume, or name another folder with --run")


def check_initialized(saved: ModelConfig, wanted: ModelConfig, flags: list[str]) -> None:
    """Raise UsageError for a flag that changes what a run started with --init-from takes from the other run."""
    for name in typed_settings(flags, setting_types(type(saved))):
        *groups, last = name.split(".")
        is_kept = not KEPT_GROUPS.isdisjoint(groups) or last in KEPT_SETTINGS
        if is_kept and get_setting(saved, name) != get_setting(wanted, name):
            raise UsageError(
                f"{as_flag(name)}: with --init-from, the vocabulary, the features and the weights are those of that "
                "run: leave it out"
            )


def check_resumable(saved: ModelConfig, wanted: ModelConfig, flags: list[str]) -> None:
    """Raise UsageError for a flag that changes more of the saved configuration than a resumed run may change."""
    changed = {name: getattr(wanted.train, name) for name in RESUMABLE}
    if dataclasses.replace(saved, search=wanted.search, train=dataclasses.replace(saved.train, **changed)) == wanted:
        return
    free = [f"train.{name}" for name in RESUMABLE]
    settings = setting_types(type(saved))
    for name in typed_settings(flags, settings):
        if name in settings and name not in free and not name.startswith("search.") and differs(saved, wanted, name):
            raise UsageError(
                f"--resume: {as_flag(name)} would make it another run: leave it out; only {', '.join(free)} and search "
                "flags may change"
            )
    raise AssertionError("a configuration changes by flags alone")


def differs(saved: ModelConfig, wanted: ModelConfig, name: str) -> bool:
    """Tell whether a setting has another value in the saved configuration, or is one of a kind that it doesn't have."""
    try:
        return get_setting(saved, name) != get_setting(wanted, name)
    except AttributeError:
        return True


def start_training(
    task: str,
    config: ModelConfig,
    folder: Path,
    *,
    resume: bool,
    init_from: Path | None = None,
    encoders_from: Sequence[Path] = (),
) -> None:
    """Train a run. Its configuration is saved once the data have been found valid.

    Args:
        task: The name of the task.
        config: The configuration.
        folder: The run folder.
        resume: Continue the run that is in the folder.
        init_from: A run whose vocabulary and weights are used: see ``Trainer``.
        encoders_from: Runs of single tasks with whose encoders a joint model begins.
    """
    with lock_run(folder) if IS_MAIN_PROCESS else contextlib.nullcontext():  # which holds the folder for all
        if IS_MAIN_PROCESS and not resume:
            check_unused(folder)  # again: another process may just have finished there
        if init_from is not None:
            check_model_size(task, config, init_from, init_from / "best.safetensors")
        elif resume and state_file(folder).is_file():
            check_model_size(task, config, folder, state_file(folder))
        trained = tasks.package(task).Task(config)
        if encoders_from:
            trained.start_from(encoders_from)
        trainer = Trainer(trained, folder, resume=resume, init_from=init_from)
        if trainer.is_main:
            save_json(folder / "config.json", {"task": task, "config": dataclasses.asdict(config)})
        trainer.run()


def train_if_needed(task: str, config: ModelConfig, folder: Path) -> None:
    """Train a run, resume it, or find it finished.

    Raises:
        UsageError: if the folder holds a run with another configuration.
    """
    exists = (folder / "config.json").is_file()
    if exists and load_config(task, folder) != config:
        raise UsageError(f"{folder} was trained with another configuration: name another --run, or remove that folder")
    start_training(task, config, folder, resume=exists)
