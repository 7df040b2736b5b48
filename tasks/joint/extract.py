"""The command ``extract``: a task of a joint run as a run of its own."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.console import console
from tasks.common.errors import UsageError
from tasks.common.files import save_json
from tasks.common.inference.loading import load_parts
from tasks.common.program import program
from tasks.common.task_group import part_folder
from tasks.common.training.checkpoints import save_weights, weights_of


@dataclass(frozen=True)
class ExtractOptions:
    """Save a task of a joint run as a run of its own."""

    task: str | None = None
    """The task."""
    run: str | None = None
    """Folder for its run."""


def extract(task: str, arguments: list[str]) -> None:
    """Run ``run.py joint extract RUN --task NAME --run DIR``."""
    joint, flags = parse_run_argument("extract", arguments, ExtractOptions, ExtractOptions())
    options = parse(ExtractOptions, flags, f"{program()} {task} extract RUN", ExtractOptions())
    if options.task is None or options.run is None:
        raise UsageError("extract needs --task, the task to save, and --run, the folder for its run")
    folder = Path(options.run)
    if folder.exists():
        raise UsageError(f"--run {folder} exists already; name another folder")
    (predictor,) = load_parts(task, [joint], options.task).values()
    part = predictor.task
    save_weights(folder / "best.safetensors", weights_of(predictor.models[0]))
    save_json(folder / "vocabulary.json", part.state_dict())
    if part_folder(joint, options.task).is_dir():  # its evaluations, plots and domain
        shutil.copytree(part_folder(joint, options.task), folder, dirs_exist_ok=True)
    save_json(folder / "config.json", {"task": options.task, "config": dataclasses.asdict(part.config)})
    console.print(f"{folder} is a run of {options.task}: {program()} {options.task} predict {folder} INPUT ...")
