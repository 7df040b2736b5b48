"""Trained models from the folders of their runs."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator

import tasks
from decoders.config import SearchConfig
from tasks.common.cli.arguments import parse
from tasks.common.config import Config, from_dict
from tasks.common.errors import UsageError, unknown_name
from tasks.common.inference.evaluation import Predictor
from tasks.common.inference.reranking import Reranker
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.training import checkpoints as checkpoint


def parse_run_argument(
    command: str, arguments: list[str], options: Callable[[SearchConfig], Any]
) -> tuple[Path, list[str]]:
    """The run that a command is for, and its flags, which are ``options``."""
    if not arguments:
        raise UsageError(f"{command} needs the folder of a run: run.py TASK {command} RUN")
    if arguments[0] in ("-h", "--help"):
        parse(options, ["--help"], f"run.py TASK {command} RUN", options(SearchConfig()))
    return Path(arguments[0]), arguments[1:]


def read_config(task: str, run: Path) -> Config:
    """The configuration that a run was trained with. Raises UsageError if it is no run, or another task's."""
    if not run.is_dir():
        near = [str(folder.parent) for folder in Path("runs").glob("*/config.json")]
        if near:
            raise unknown_name("run", str(run), near)
        raise UsageError(f"there is no run in {run}: train one first, by run.py {task} train")
    saved = checkpoint.read_json(run / "config.json")
    if not isinstance(saved, dict) or "config" not in saved:
        raise UsageError(f"{run / 'config.json'} is not the configuration of a run; restore it or train again")
    if saved.get("task") != task:
        raise UsageError(f"{run} is a run of {saved.get('task')!r}, not of {task!r}: name that task, or another run")
    return from_dict(tasks.package(task).Config, saved["config"], run / "config.json")


def load_runs(task: str, runs: list[Path], **changes: Any) -> Predictor:
    """Trained models from their folders, to write alone or together, on the GPU if there is one."""
    device = Accelerator().device
    members: list[Task] = []
    models: list[Seq2Seq] = []
    for run in runs:
        config = read_config(task, run)
        member = tasks.package(task).Task(dataclasses.replace(config, **{k: v for k, v in changes.items() if v}))
        state = checkpoint.read_json(run / "vocabulary.json")
        try:
            member.load_state_dict(state)
        except Exception as error:  # tokenizers raises nothing more special
            raise UsageError(f"{run / 'vocabulary.json'} is not this task's; restore it or train again") from error
        model = member.build_model()
        checkpoint.load_weights(model, checkpoint.read_weights(run / "best.safetensors"), run / "best.safetensors")
        members.append(member)
        models.append(model.to(device).eval())
        if member.state_dict() != members[0].state():
            raise UsageError(f"{run} has another vocabulary than {runs[0]}: only runs with the same one write together")
    return Predictor(members[0], models)


def reranking(writer: Predictor, task: str, run: str | None, weight: float) -> Predictor:
    """The same writer, whose hypotheses are ranked with the help of ``run``, if one is named."""
    if run is None:
        return writer
    if not 0 <= weight <= 1:
        raise UsageError(f"--rerank-weight is {weight}; allowed is 0 to 1")
    other = load_runs(task, [Path(run)])
    if not other.task.is_reverse_of(writer.task):
        raise UsageError(f"--rerank {run}: a run of the other direction is needed, on the same data")
    return dataclasses.replace(writer, reranker=Reranker(other.task, other.models[0], weight))
