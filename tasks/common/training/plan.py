"""The length of a training: what the loop asks about it, and the answers for one that is given in epochs.

Schedules are functions of the update and of the number of planned updates, however the length was given.
"""

from abc import ABC, abstractmethod
from typing import Any

from tasks.common.training.config import TrainConfig
from tasks.common.training.progress import Progress
from tasks.common.training.schedules import freezing_length, warmup_length


class Plan(ABC):
    """The length of a training, and when it is evaluated.

    Attributes:
        flag: The flag that sets the length.
    """

    flag: str

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """The planned updates; 0 before they are known."""

    @property
    @abstractmethod
    def length(self) -> str:
        """The length as it was given, with its unit."""

    @property
    @abstractmethod
    def description(self) -> str:
        """A line on what is planned."""

    @abstractmethod
    def is_over(self, progress: Progress) -> bool:
        """Tell whether the training has its length."""

    @abstractmethod
    def is_evaluation_due(self, progress: Progress) -> bool:
        """Tell whether an evaluation is due after this update; another one ends the training."""

    @abstractmethod
    def step_done(self, progress: Progress) -> str | None:
        """Note that an update was made. Return a message where there is something to tell."""

    @abstractmethod
    def evaluation_done(self, progress: Progress, seconds: float) -> None:
        """Note that an evaluation was made, and the seconds it took, which ``progress`` has counted."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training must know, for ``Progress.plan``."""


class EpochPlan(Plan):
    """The plan of a training that is given in epochs, with an evaluation after each of them."""

    flag = "--train.epochs"

    def __init__(self, config: TrainConfig, steps_per_epoch: int):
        """``steps_per_epoch``: The updates of the first epoch; those of others may differ by a few."""
        self.config = config
        self.steps_per_epoch = steps_per_epoch

    @property
    def num_steps(self) -> int:
        return self.steps_per_epoch * self.config.epochs

    @property
    def length(self) -> str:
        return f"{self.config.epochs} epochs"

    @property
    def description(self) -> str:
        every = f"every {self.config.eval_steps:,} updates and " if self.config.eval_steps else ""
        return describe_updates(self.config, self.num_steps, self.length, f"{every}after each epoch")

    def is_over(self, progress: Progress) -> bool:
        return progress.epoch >= self.config.epochs

    def is_evaluation_due(self, progress: Progress) -> bool:
        return progress.batches_done == 0 or is_multiple(progress.step, self.config.eval_steps)

    def step_done(self, progress: Progress) -> None: ...

    def evaluation_done(self, progress: Progress, seconds: float) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}


def describe_updates(config: TrainConfig, num_steps: int, length: str, evaluations: str) -> str:
    """Describe the planned updates, and what depends on their number.

    Args:
        config: The settings.
        num_steps: The planned updates.
        length: The length of training.
        evaluations: When there are evaluations.
    """
    warmup, frozen = warmup_length(config, num_steps), freezing_length(config, num_steps)
    thaw = f"the encoder frozen for {frozen:,}, " if frozen else ""
    return f"planned: {num_steps:,} updates in {length}, warm-up {warmup:,}, {thaw}evaluation {evaluations}"


def is_multiple(step: int, every: int) -> bool:
    """Tell whether a step is one of those that are ``every`` steps apart; 0 for none."""
    return every > 0 and step % every == 0
