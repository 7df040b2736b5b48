"""The command ``extract``: a task of a joint run as a run of its own."""

import dataclasses
import shutil
from pathlib import Path

from tasks.common.console import console
from tasks.common.errors import UsageError
from tasks.common.files import save_json
from tasks.common.inference.loading import load_parts
from tasks.common.program import program
from tasks.common.task_group import part_folder
from tasks.common.training.checkpoints import save_weights, weights_of


def extract(task: str, joint: Path, part_name: str, folder: Path) -> None:
    """Run ``run.py joint extract RUN --task NAME --run DIR``."""
    if folder.exists():
        raise UsageError(f"--run {folder} exists already; name another folder")
    (predictor,) = load_parts(task, [joint], part_name).values()
    part = predictor.task
    save_weights(folder / "best.safetensors", weights_of(predictor.models[0]))
    save_json(folder / "vocabulary.json", part.state_dict())
    if part_folder(joint, part_name).is_dir():  # its evaluations, plots and domain
        shutil.copytree(part_folder(joint, part_name), folder, dirs_exist_ok=True)
    save_json(folder / "config.json", {"task": part_name, "config": dataclasses.asdict(part.config)})
    console.print(f"{folder} is a run of {part_name}: {program()} {part_name} predict {folder} INPUT ...")
