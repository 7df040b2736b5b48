"""The flags of ``serve``."""

from dataclasses import dataclass

import tyro

from tasks.common.cli.arguments import parse
from tasks.common.errors import UsageError
from tasks.common.program import program


@dataclass(frozen=True)
class ServeOptions:
    """Serve a web page on which trained runs are tried: a tab for each, for each task of a joint run."""

    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Run folders, or runs of the hub."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets every machine of the network use the page."""
    port: int = 7860
    """Port to listen on (0: any that is free)."""
    max_mb: float = 50.0
    """Largest file that is accepted, in megabytes."""


def parse_command(arguments: list[str]) -> tuple[ServeOptions]:
    """Parse the arguments of ``serve``: the options."""
    options = parse(ServeOptions, arguments, f"{program()} serve", ServeOptions())
    if not options.runs:
        raise UsageError(f"serve needs one run or more: {program()} serve RUN [RUN ...]")
    if options.max_mb <= 0:
        raise UsageError(f"--max-mb is {options.max_mb:g}; allowed is more than 0")
    return (options,)
