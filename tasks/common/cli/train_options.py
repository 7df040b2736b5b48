"""The flags of ``train``."""

import dataclasses
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
from tasks.common.program import program
from tasks.common.run_config import load_config, task_of

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


def whole_run(task: str, init_from: str | None) -> Path | None:
    """Return the run of the same task that --init-from names; None if it names none, or runs for their encoders."""
    if init_from is None:
        return None
    takes_encoders = hasattr(tasks.task_class(task), "start_from")
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
        advice = "" if IS_MAIN_PROCESS else ", or copy that file from the first machine"
        raise UsageError(
            f"--resume: there is no run in {folder}, since it has no config.json; name its folder with --run{advice}"
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


def parse_command(task: str, arguments: list[str]) -> tuple[Preset, TrainOptions, Path]:
    """Parse the arguments of ``train``: the preset, the options and the run folder."""
    preset = choose_preset(task, arguments)
    return preset, *parse_train(task, preset)
