"""The flags of ``tune``."""

import contextlib
import itertools
import math
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import tyro

from tasks.common.cli.preset_choice import Preset, choose_preset
from tasks.common.cli.search_space import SearchDimension
from tasks.common.cli.variants import VariantParser, as_flags, refuse_without_effect
from tasks.common.config import ModelConfig
from tasks.common.errors import UsageError
from tasks.common.program import program

C = TypeVar("C", bound=ModelConfig)

MAX_CHECKED_VARIANTS = 64  # of a space whose flags are checked for an effect before the search


@dataclass(frozen=True)
class TuneOptions(Generic[C]):
    """Search for the settings with the best validation score. Finished trials are kept; machines can share a search."""

    config: Annotated[C, tyro.conf.arg(name="")]
    space: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """SETTING=LOW..HIGH or SETTING=VALUE,VALUE,... once or more: train.lr=1e-4..1e-2, decoder.hidden_dim=128,256."""
    trials: int = 20
    """Number of finished trials that the search should have, earlier ones included."""
    storage: str | None = None
    """File or database address where the search is stored, shared by several machines (default: a file in the folder
    of the runs)."""
    sampler_seed: int = 1
    """Seed of the trials; machines that share a search need different ones."""
    run: str | None = None
    """Folder for the runs and the table (default: runs/tune-TASK-PRESET)."""


def parse_tune(task: str, preset: Preset) -> tuple[VariantParser, list[SearchDimension]]:
    """Parse the flags, and refuse those that have no effect in any trial; a large space is not checked.

    Returns:
        The parser of the trials, and the dimensions of the space.
    """
    flags, config = preset.flags, preset.config
    options_class = TuneOptions[type(config)]
    parser = VariantParser(options_class, flags, f"{program()} {task} tune {preset.name}", TuneOptions(config))
    options, _ = parser.parse()
    if not options.space:
        raise UsageError("--space is missing: name a setting and its values, as in --space train.lr=1e-4..1e-2")
    dimensions = [SearchDimension.parse(text) for text in options.space]
    examples = [each.examples() for each in dimensions]
    as_flags(tuple(values[0] for values in examples), config)  # refuses unknown settings before the first trial
    errors = []
    if math.prod(map(len, examples)) <= MAX_CHECKED_VARIANTS:
        for variant in itertools.product(*examples):
            with contextlib.suppress(UsageError):  # sizes that do not go together
                errors.append(parser.parse(variant)[1])
    refuse_without_effect(errors)
    return parser, dimensions


def parse_command(task: str, arguments: list[str]) -> tuple[Preset, VariantParser, list[SearchDimension]]:
    """Parse the arguments of ``tune``: the preset, the parser of the trials and the dimensions of the space."""
    preset = choose_preset(task, arguments)
    return preset, *parse_tune(task, preset)
