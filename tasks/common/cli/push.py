"""The command ``push``."""

from tasks.common.cli.push_options import PushOptions
from tasks.common.hub.push import push_run
from tasks.common.hub.runs import find_run
from tasks.common.program import program
from tasks.common.run_config import task_of


def push(options: PushOptions) -> None:
    """Run ``run.py push RUN OWNER/NAME [--private] [--license ID]``."""
    name, repository = options.names
    run = find_run(name)
    address = push_run(run, repository, private=options.private, license=options.license)
    print(f"{address}: {program()} {task_of(run)} predict {repository} INPUT ...")
