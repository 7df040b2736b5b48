"""The command ``export``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from tasks.common.cli.arguments import parse
from tasks.common.console import console
from tasks.common.errors import UsageError
from tasks.common.export.folder import Quantization, export_run
from tasks.common.hub.runs import find_run
from tasks.common.inference.loading import load_parts, task_of
from tasks.common.program import program
from tasks.common.task_group import part_folder


@dataclass(frozen=True)
class ExportOptions:
    """Save a run as files that need neither PyTorch nor this project: ONNX graphs, and a script that runs them."""

    run: tyro.conf.Positional[str] = ""
    """The run folder, or its name on the hub."""
    to: Literal["onnx"] = "onnx"
    """The format."""
    output: str | None = None
    """The folder to write (none: RUN/onnx, or RUN/onnx-int8)."""
    task: str | None = None
    """The task of a joint run."""
    quantize: Quantization = "none"
    """Weights in 32 bits (none), or in 8 (int8): a quarter of the size, faster, and slightly less precise."""


def export(flags: list[str]) -> None:
    """Run ``run.py export RUN --to onnx``."""
    options = parse(ExportOptions, flags, f"{program()} export", ExportOptions())
    if not options.run:
        raise UsageError(f"export needs a run folder: {program()} export RUN --to onnx")
    run = find_run(options.run)
    if options.output is None and run != Path(options.run):
        raise UsageError(f"{options.run} is a run of the hub: name a folder for the exported one with --output")
    predictors = load_parts(task_of(run), [run], options.task)
    if len(predictors) > 1:
        raise UsageError(f"{run} is a run of several tasks: name one of them with --task, {', '.join(predictors)}")
    ((part, predictor),) = predictors.items()
    default = part_folder(run, part) / ("onnx" if options.quantize == "none" else f"onnx-{options.quantize}")
    folder = default if options.output is None else Path(options.output)
    export_run(predictor, part or run.name, folder, options.quantize)
    console.print(f"{folder} has the graphs, and infer.py, which runs them: see its README.md")
