"""The flags of ``extract``."""

from dataclasses import dataclass
from pathlib import Path

from tasks.common.cli.arguments import parse, parse_run_argument
from tasks.common.errors import UsageError
from tasks.common.program import program


@dataclass(frozen=True)
class ExtractOptions:
    """Save a task of a joint run as a run of its own."""

    task: str | None = None
    """The task."""
    run: str | None = None
    """Folder for its run."""


def parse_command(task: str, arguments: list[str]) -> tuple[Path, str, Path]:
    """Parse the arguments of ``extract``: the joint run, the name of the task, and the folder for its run."""
    joint, flags = parse_run_argument("extract", arguments, ExtractOptions, ExtractOptions())
    options = parse(ExtractOptions, flags, f"{program()} {task} extract RUN", ExtractOptions())
    if options.task is None or options.run is None:
        raise UsageError("extract needs --task, the task to save, and --run, the folder for its run")
    return joint, options.task, Path(options.run)
