"""The length of a training that is given in minutes, planned in updates from the measured speed."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from tasks.common.training.config import TrainConfig
from tasks.common.training.plan import Plan, describe_updates, is_multiple
from tasks.common.training.progress import Progress

NUM_EVALUATIONS = 8
EVALUATION_SHARE = 0.2  # at most, of the time; what a single evaluation takes beyond that is added to it

FIRST_TIMED = 2  # updates before the first one that is timed, which are slower
TIMED_SHARE = 0.02  # of the time: the least for which the speed is measured
SMOOTHING = 0.5  # weight of the latest measurement


@dataclass
class TimeTable:
    """Measured times and planned updates; saved with the progress, so that a resumed run keeps to it.

    Attributes:
        minutes: The length that it was planned for; 0 before anything is planned.
        num_steps: The planned updates; 0 before the speed has been measured.
        next_evaluation: The update after which the next evaluation is due.
        eval_steps: Updates between evaluations.
        seconds_per_step: The time of an update without evaluations; 0 before it has been measured.
        seconds_per_evaluation: The time of the last evaluation; 0 before the first one.
        timed_step: The update after which the current measurement began.
        timed_at: The seconds of training at its beginning.
    """

    minutes: float = 0.0
    num_steps: int = 0
    next_evaluation: int = 0
    eval_steps: int = 0
    seconds_per_step: float = 0.0
    seconds_per_evaluation: float = 0.0
    timed_step: int = 0
    timed_at: float = 0.0


class TimePlan(Plan):
    """The plan of a training that is given in minutes, the evaluations included.

    It is remade whenever the speed has been measured again, until the last update.
    """

    flag = "--train.max-minutes"

    def __init__(self, config: TrainConfig, progress: Progress):
        """Continue the plan that is saved in the progress, if there is one; it is remade if the minutes have changed.

        Args:
            config: The settings, which hold the length of training and may hold the updates between evaluations.
            progress: The progress of a resumed training, or that of a new one.
        """
        self.config = config
        self.table = TimeTable(**progress.plan)
        if self.num_steps and self.table.minutes != config.max_minutes:
            self.restart(progress)

    @property
    def num_steps(self) -> int:
        return self.table.num_steps

    @property
    def length(self) -> str:
        return f"{self.config.max_minutes:g} minutes"

    @property
    def description(self) -> str:
        if not self.num_steps:
            return f"planned: {self.length}; the first updates are timed"
        every = f"every {self.table.eval_steps:,} updates"
        return describe_updates(self.config, self.num_steps, f"about {self.length}", every)

    def is_over(self, progress: Progress) -> bool:
        return 0 < self.num_steps <= progress.step

    def is_evaluation_due(self, progress: Progress) -> bool:
        if self.config.eval_steps:
            return is_multiple(progress.step, self.config.eval_steps)
        last = self.num_steps - self.table.eval_steps // 2  # not shortly before the end, where there is one
        return 0 < self.table.next_evaluation <= progress.step <= last

    def step_done(self, progress: Progress) -> str | None:
        """Time the updates, and make the plan where enough of them have been timed; tell the first one."""
        table, limit_s = self.table, 60 * self.config.max_minutes
        timed_s, shortest_s = progress.seconds - table.timed_at, TIMED_SHARE * limit_s
        if progress.step == FIRST_TIMED and timed_s < shortest_s:
            table.timed_step, table.timed_at = progress.step, progress.seconds
        elif timed_s >= shortest_s and not self.is_over(progress):
            measured = timed_s / (progress.step - table.timed_step)
            weight = SMOOTHING if table.seconds_per_step else 1.0
            table.seconds_per_step += weight * (measured - table.seconds_per_step)
            table.timed_step, table.timed_at = progress.step, progress.seconds
            is_first = not self.num_steps
            self.make(progress, plans_evaluations=is_first)
            return self.description if is_first else None
        return None

    def evaluation_done(self, progress: Progress, seconds: float) -> None:
        """Note the time of an evaluation, and plan the next one; after the last one there is nothing to plan."""
        if not self.is_over(progress):
            self.table.seconds_per_evaluation = seconds
            self.restart(progress)

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.table)

    def restart(self, progress: Progress) -> None:
        """Plan the rest of training anew, from an update after which nothing is being timed."""
        self.table.timed_step, self.table.timed_at = progress.step, progress.seconds
        if self.table.seconds_per_step:
            self.make(progress, plans_evaluations=True)

    def make(self, progress: Progress, *, plans_evaluations: bool) -> None:
        """Plan the rest of the time, whose last part is an evaluation.

        Args:
            progress: The updates and the seconds of training so far.
            plans_evaluations: Whether the next evaluation is planned too.
        """
        table, eval_steps, limit_s = self.table, self.config.eval_steps, 60 * self.config.max_minutes
        left_s = max(0.0, limit_s - progress.seconds)
        num_evaluations = max(1, round(NUM_EVALUATIONS * left_s / limit_s))
        evaluations_s = EVALUATION_SHARE * left_s
        evaluation_s = table.seconds_per_evaluation or evaluations_s / num_evaluations
        if eval_steps:
            num_left = left_s / (table.seconds_per_step + evaluation_s / eval_steps)
        else:
            if evaluation_s:
                num_evaluations = max(1, min(num_evaluations, int(evaluations_s / evaluation_s)))
            reserved_s = min(EVALUATION_SHARE * limit_s, num_evaluations * evaluation_s)
            num_left = (left_s - reserved_s) / table.seconds_per_step
        table.minutes = self.config.max_minutes
        table.num_steps = progress.step + max(0, round(num_left))
        if plans_evaluations:
            table.eval_steps = eval_steps or max(1, math.ceil((table.num_steps - progress.step) / num_evaluations))
            table.next_evaluation = progress.step + table.eval_steps
