"""Tasks that are trained and saved as one run: one, or several with one decoder."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tasks.common.config import Config, ModelConfig
from tasks.common.errors import UsageError
from tasks.common.metrics.base import SelectionMetric
from tasks.common.model import Model
from tasks.common.task import Task
from tasks.common.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import datasets

C = TypeVar("C", bound=ModelConfig)
ALONE = ""  # the name of a task that is alone


class TaskGroup(ABC, Generic[C]):
    """Tasks whose sentences one decoder generates, with one vocabulary of target tokens.

    What a run folder holds of a part, its evaluations, its plots and its domain, is in a folder of the part's name. A
    task alone has an empty name, and so all of it is in the run folder itself.

    Attributes:
        config: The settings that the parts share.
        parts: The tasks by their names.
    """

    config: C
    parts: dict[str, Task]

    @property
    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the target sentences."""

    @property
    @abstractmethod
    def selection_metric(self) -> SelectionMetric:
        """The validation score that selects the checkpoint."""

    @abstractmethod
    def fit(self, examples: Mapping[str, "datasets.Dataset"]) -> None:
        """Learn what must be known before training from the training examples of each part."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what ``fit`` has learned in JSON's types, for vocabulary.json in the run folder."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``fit`` has learned from the return value of ``state_dict``."""

    @abstractmethod
    def build_model(self) -> Model:
        """Build the encoders and the decoder. Raises UsageError for settings that do not go together."""

    @abstractmethod
    def warm_start(self, model: Model) -> None:
        """Replace random weights by those of other runs, once before training. Raises UsageError if they don't fit."""

    @abstractmethod
    def shares(self, num_batches: Mapping[str, int]) -> dict[str, float]:
        """Return the share of each part in the steps of training, by the batches of its examples; the sum is 1."""

    def load(self, split: str) -> dict[str, "datasets.Dataset"]:
        """Load and check the examples of each part. Raises UsageError: see ``Task.load``."""
        loaded: dict[str, datasets.Dataset] = {}
        for name, part in self.parts.items():
            with naming_part(name):
                loaded[name] = part.load(split)
        return loaded


class SingleTask(TaskGroup[Config]):
    """A task that has a model of its own."""

    def __init__(self, task: Task):
        self.task, self.config = task, task.config
        self.parts = {ALONE: task}

    @property
    def tokenizer(self) -> Tokenizer:
        return self.task.tokenizer

    @property
    def selection_metric(self) -> SelectionMetric:
        return self.task.selection_metric

    def fit(self, examples: Mapping[str, "datasets.Dataset"]) -> None:
        self.task.fit(examples[ALONE])

    def state_dict(self) -> dict[str, Any]:
        return self.task.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.task.load_state_dict(state)

    def build_model(self) -> Model:
        return self.task.build_model()

    def warm_start(self, model: Model) -> None:
        self.task.warm_start(model.part(ALONE))

    def shares(self, num_batches: Mapping[str, int]) -> dict[str, float]:
        return dict.fromkeys(num_batches, 1.0)


def as_group(task: "Task | TaskGroup") -> TaskGroup:
    """Return a group of tasks as it is, and a task as a group of one."""
    return SingleTask(task) if isinstance(task, Task) else task


def part_folder(run: Path, name: str) -> Path:
    """Return the folder of a part in a run folder, for files that are not of the whole model."""
    return run / name


@contextlib.contextmanager
def naming_part(name: str) -> Iterator[None]:
    """Begin the message of a UsageError with the name of the part, if it has one."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{name}: {error}" if name else str(error)) from error
