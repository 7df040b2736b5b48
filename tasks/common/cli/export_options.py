"""The flags of ``export``."""

from dataclasses import dataclass
from typing import Literal

import tyro

from tasks.common.cli.arguments import parse
from tasks.common.errors import UsageError
from tasks.common.export.config import Quantization
from tasks.common.program import program


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


def parse_command(arguments: list[str]) -> tuple[ExportOptions]:
    """Parse the arguments of ``export``: the options."""
    options = parse(ExportOptions, arguments, f"{program()} export", ExportOptions())
    if not options.run:
        raise UsageError(f"export needs a run folder: {program()} export RUN --to onnx")
    return (options,)
