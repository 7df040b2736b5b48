"""The command ``push``."""

from dataclasses import dataclass

import tyro

from tasks.common.cli.arguments import parse
from tasks.common.errors import UsageError
from tasks.common.hub.push import push_run
from tasks.common.hub.runs import find_run
from tasks.common.inference.loading import task_of
from tasks.common.program import program


@dataclass(frozen=True)
class PushOptions:
    """Upload a run to the Hugging Face hub, with a model card that shows its scores and an example of its data. The
    repository is made if it is not there."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """The run folder, and its name on the hub: OWNER/NAME."""
    private: bool = False
    """Make the repository private."""
    license: str | None = None
    """License of the weights, by the hub's identifier: apache-2.0, mit, cc-by-4.0, ..."""


def push(flags: list[str]) -> None:
    """Run ``run.py push RUN OWNER/NAME [--private] [--license ID]``."""
    options = parse(PushOptions, flags, f"{program()} push", PushOptions())
    if len(options.names) != 2:
        raise UsageError(f"push needs a run folder and a name on the hub: {program()} push RUN OWNER/NAME")
    name, repository = options.names
    run = find_run(name)
    address = push_run(run, repository, private=options.private, license=options.license)
    print(f"{address}: {program()} {task_of(run)} predict {repository} INPUT ...")
