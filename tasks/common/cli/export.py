"""The command ``export``."""

from pathlib import Path

from tasks.common.cli.export_options import ExportOptions
from tasks.common.console import console
from tasks.common.errors import UsageError
from tasks.common.export.folder import export_run
from tasks.common.hub.runs import find_run
from tasks.common.inference.loading import load_parts
from tasks.common.run_config import task_of
from tasks.common.task_group import part_folder


def export(options: ExportOptions) -> None:
    """Run ``run.py export RUN --to onnx``."""
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
