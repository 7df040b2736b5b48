"""The tabs of the page: what can be given to a model, what can be set, and what there is to try."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from decoders.config import SearchConfig
from tasks import TASKS
from tasks.common.data.inputs import BuiltinInput
from tasks.common.data.media_files import FEATURE_SUFFIX
from tasks.common.errors import UsageError
from tasks.common.inference.input_kinds import SUFFIXES
from tasks.common.inference.trained_model import TrainedModel
from tasks.common.task import Task

NUM_EXAMPLES = 6

Number = int | float


@dataclass(frozen=True)
class Setting:
    """A setting of the search that the page offers, a number between two limits or, without limits, a choice.

    Attributes:
        name: Its name in ``SearchConfig``.
        label: What the page calls it.
        low, high: The limits.
        step: The distance of its values; an integer if they are.
        needs_sampling: True if it has an effect on samples only, False on beam search only, None on both.
    """

    name: str
    label: str
    low: Number = 0
    high: Number = 0
    step: Number = 1
    needs_sampling: bool | None = None


SETTINGS = (
    Setting("beam", "Beam size", 1, 20, needs_sampling=False),
    Setting("n_best", "Sentences", 1, 20),
    Setting("length_penalty", "Length penalty", 0, 3, 0.1, needs_sampling=False),
    Setting("min_length", "Minimum length", 0, 100),
    Setting("max_length", "Maximum length", 1, 500),
    Setting("sample", "Sample"),
    Setting("temperature", "Temperature", 0.05, 3, 0.05, needs_sampling=True),
    Setting("top_k", "Top k", 0, 1000, needs_sampling=True),
    Setting("top_p", "Top p", 0.01, 1, 0.01, needs_sampling=True),
)


@dataclass(frozen=True)
class Tab:
    """A task of a model on the page.

    Attributes:
        run: The name of the run.
        model: The model.
        part: The name of the task in a joint model; else an empty name.
    """

    run: str
    model: TrainedModel
    part: str

    @property
    def task(self) -> Task:
        return self.model.predictors[self.part].task

    @property
    def task_name(self) -> str:
        """The name of the task, which is that of its package."""
        return type(self.task).__module__.split(".")[1]

    @property
    def training_data(self) -> str:
        """The name of the training data."""
        data = self.task.config.data
        return self.task.builtin_data if data is None else Path(data).name

    def describe(self) -> dict[str, Any]:
        """Describe the tab for the page."""
        task, kinds = self.task, self.task.input_kinds
        suffixes = {suffix for kind in kinds for suffix in SUFFIXES.get(kind, ())} - {FEATURE_SUFFIX}
        return {
            "run": self.run,
            "title": self.task_name.replace("_", " "),
            "description": TASKS.get(self.task_name, ""),
            "kinds": kinds,
            "suffixes": sorted(suffixes),
            "training_data": self.training_data,
            "has_examples": task.config.data is None,
            "settings": [describe_setting(setting, task.config.search) for setting in SETTINGS],
        }

    def search(self, changes: Mapping[str, str]) -> SearchConfig:
        """Return the settings of the search, changed by values in text form. Raises UsageError for invalid ones."""
        given = {each.name: parse_setting(each, changes[each.name]) for each in SETTINGS if each.name in changes}
        try:
            return self.model.search(self.part, given)
        except UsageError as error:
            message = str(error)
            for setting in SETTINGS:
                message = message.replace(f"search.{setting.name}", setting.label)
            raise UsageError(message) from error

    @cached_property
    def examples(self) -> list[BuiltinInput]:
        """Some inputs of the built-in data; none if the model was trained on other data."""
        return self.task.builtin_inputs(NUM_EXAMPLES) if self.task.config.data is None else []


def tabs_of_run(run: str, model: TrainedModel) -> list[Tab]:
    """Return a tab for each task of a run."""
    return [Tab(Path(run).name, model, part) for part in model.tasks]


def describe_setting(setting: Setting, search: SearchConfig) -> dict[str, Any]:
    """Describe a setting for the page, with its value in a run's own search."""
    value = getattr(search, setting.name)
    return asdict(setting) | {"value": value, "high": max(setting.high, value)}


def parse_setting(setting: Setting, text: str) -> bool | int | float:
    """Read the value of a setting. Raises UsageError for one that is not allowed."""
    if not setting.high:
        return text == "true"
    try:
        value = type(setting.step)(text)
    except ValueError:
        value = math.nan
    if not setting.low <= value <= setting.high:
        raise UsageError(f"{setting.label} is {text!r}; allowed is {setting.low:g} to {setting.high:g}")
    return value
