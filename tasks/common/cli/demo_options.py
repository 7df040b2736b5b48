"""The flags of ``demo``."""

from dataclasses import dataclass

from tasks.common.cli.arguments import parse
from tasks.common.errors import unknown_name
from tasks.common.program import program


@dataclass(frozen=True)
class DemoOptions:
    """Train and evaluate four tasks on the toy world: text, audio, image and video to text. Nothing is downloaded."""

    preset: str = "demo"
    """demo (minutes) or tiny (seconds, to test the installation)."""
    run: str = "runs/demo"
    """Folder for the runs, demo.md and the gallery."""
    joint: bool = False
    """Train one model with a decoder for all four tasks instead of four models."""


def parse_command(arguments: list[str]) -> tuple[DemoOptions]:
    """Parse the arguments of ``demo``: the options."""
    options = parse(DemoOptions, arguments, f"{program()} demo", DemoOptions())
    if options.preset not in ("demo", "tiny"):
        raise unknown_name("preset", options.preset, ("demo", "tiny"))
    return (options,)
