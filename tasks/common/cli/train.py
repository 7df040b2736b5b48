"""The command ``train``."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tasks
from tasks.common.cli.arguments import run_of_flag
from tasks.common.cli.preset_choice import Preset
from tasks.common.cli.train_options import TrainOptions, check_unused, parse_train, whole_run
from tasks.common.config import ModelConfig
from tasks.common.console import IS_MAIN_PROCESS
from tasks.common.errors import UsageError
from tasks.common.files import lock_run, save_json
from tasks.common.inference.loading import check_model_size
from tasks.common.run_config import load_config
from tasks.common.training.checkpoints import state_file
from tasks.common.training.trainer import Trainer


def train(task: str, preset: Preset, options: TrainOptions, folder: Path) -> None:
    """Run ``run.py TASK train [PRESET] [--flags]``."""
    continues = options.resume or options.init_from
    fitted = preset if continues else preset.fit(task, options.config)
    if fitted is not preset:
        options, folder = parse_train(task, fitted)
    run = whole_run(task, options.init_from)
    named = options.init_from.split(",") if options.init_from and not run else []
    encoders_from = [run_of_flag("--init-from", each) for each in named]
    start_training(task, options.config, folder, resume=options.resume, init_from=run, encoders_from=encoders_from)


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
        trained = tasks.task_class(task)(config)
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
