"""The flags of ``push``."""

from dataclasses import dataclass

import tyro

from tasks.common.cli.arguments import parse
from tasks.common.errors import UsageError
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


def parse_command(arguments: list[str]) -> tuple[PushOptions]:
    """Parse the arguments of ``push``: the options."""
    options = parse(PushOptions, arguments, f"{program()} push", PushOptions())
    if len(options.names) != 2:
        raise UsageError(f"push needs a run folder and a name on the hub: {program()} push RUN OWNER/NAME")
    return (options,)
