"""The flags of ``compare``."""

import itertools
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import tyro

from tasks.common.cli.flags import setting_types, typed_settings
from tasks.common.cli.preset_choice import Preset, choose_preset
from tasks.common.cli.variants import VariantParser, refuse_without_effect, setting_path, split_values
from tasks.common.config import ModelConfig
from tasks.common.data.splits import SPLITS
from tasks.common.errors import UsageError, unknown_name
from tasks.common.program import program

C = TypeVar("C", bound=ModelConfig)


@dataclass(frozen=True)
class CompareOptions(Generic[C]):
    """Train, evaluate and compare variants of a preset. Finished runs are reused, and stopped ones resumed."""

    config: Annotated[C, tyro.conf.arg(name="")]
    vary: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """SETTING=VALUE,VALUE,... once or more; a group means its first setting: attention=dot,none."""
    seeds: str = "1"
    """One run for each of these: 1,2,3."""
    split: str = "validation"
    """Split for the table. Choose by validation; use test once, at the end."""
    run: str | None = None
    """Folder for the runs and the table (default: runs/compare-TASK-PRESET)."""


def parse_compare(task: str, preset: Preset) -> tuple[CompareOptions, dict[str, ModelConfig]]:
    """Parse the flags.

    Returns:
        The options, and the configuration of each variant.
    """
    flags, config = preset.flags, preset.config
    options_class = CompareOptions[type(config)]
    parser = VariantParser(options_class, flags, f"{program()} {task} compare {preset.name}", CompareOptions(config))
    options, _ = parser.parse()
    if not options.vary:
        raise UsageError("--vary is missing: name a setting and its values, as in --vary attention=dot,general")
    if options.split not in SPLITS:
        raise unknown_name("split", options.split, SPLITS)
    variants = list(itertools.product(*map(split_values, options.vary)))
    varied = [setting_path(part, config) for part in variants[0]]
    if "train.seed" in [*varied, *typed_settings(flags, setting_types(type(config)))]:
        raise UsageError("train.seed differs from run to run here: name the seeds with --seeds 1,2,3")
    parsed = [parser.parse(variant) for variant in variants]
    refuse_without_effect([errors for _, errors in parsed])
    configs: dict[str, ModelConfig] = {}
    for variant, (each, _) in zip(variants, parsed, strict=True):
        if each.config not in configs.values():  # a setting of another kind makes no difference
            configs[" ".join(variant)] = each.config
    return options, configs


def parse_seed(seed: str) -> int:
    if not seed.isdecimal():
        raise UsageError(f"--seeds: {seed!r} is not an integer; allowed are integers, separated by commas")
    return int(seed)


def parse_command(task: str, arguments: list[str]) -> tuple[Preset, CompareOptions, dict[str, ModelConfig]]:
    """Parse the arguments of ``compare``: the preset, the options and the configuration of each variant."""
    preset = choose_preset(task, arguments)
    return preset, *parse_compare(task, preset)
