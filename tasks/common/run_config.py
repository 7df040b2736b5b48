"""The configuration of a run folder, and the task it is of."""

from pathlib import Path
from typing import Any

import tasks
from tasks.common.config import ModelConfig, config_from_dict
from tasks.common.errors import UsageError, unknown_name
from tasks.common.files import load_json
from tasks.common.hub.runs import RUNS, run_name
from tasks.common.program import program


def load_config(task: str, run: Path) -> ModelConfig:
    """Load the configuration of a run.

    Raises:
        UsageError: if the folder is not a run, or a run of another task.
    """
    if not run.is_dir():
        runs = [str(folder.parent) for folder in Path(RUNS).glob("*/config.json")]
        if runs:
            raise unknown_name("run", str(run), runs)
        raise UsageError(f"there is no run in {run}: train one first, with {program()} {task} train")
    saved = load_saved(run)
    if saved.get("task") != task:
        raise UsageError(
            f"{run_name(run)} is a run of {saved.get('task')!r}, not of {task!r}: name that task, or another run"
        )
    config = saved["config"]
    return config_from_dict(tasks.package(task).Config.class_for(config), config, run / "config.json")


def task_of(run: Path) -> str:
    """Return the task of a run. Raises UsageError if the folder is not one of a run, or of an unknown task."""
    task = load_saved(run).get("task")
    if task not in [*tasks.TASKS]:  # it names a package to import
        raise UsageError(
            f"{run_name(run)} is a run of {task!r}, which is no task here; allowed are {', '.join(tasks.TASKS)}"
        )
    return task


def load_saved(run: Path) -> dict[str, Any]:
    """Load the task and configuration that a run is saved with. Raises UsageError if the folder is not one of a run."""
    saved = load_json(run / "config.json")
    if not (isinstance(saved, dict) and isinstance(saved.get("config"), dict)):
        raise UsageError(f"{run / 'config.json'} is not the configuration of a run; restore it or train again")
    return saved
