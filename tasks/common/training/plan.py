"""The length of a training that is given in minutes, planned in updates from the measured speed.

Schedules are functions of the update and of the number of planned updates. So minutes are turned into updates, and what
follows is the same as for a training that is given in epochs.
"""

import math
from dataclasses import dataclass

from tasks.common.training.config import TrainConfig

NUM_EVALUATIONS = 8
EVALUATION_SHARE = 0.2  # at most, of the time; what a single evaluation takes beyond that is added to it

FIRST_TIMED = 2  # updates before the first one that is timed, which are slower
TIMED_SHARE = 0.02  # of the time: the least for which the speed is measured
SMOOTHING = 0.5  # weight of the latest measurement


@dataclass
class TimePlan:
    """The plan of a training that is given in minutes; saved with its progress, so a resumed run keeps to it.

    The time is that of ``Progress.seconds``, evaluations included. The plan is remade whenever the speed has been
    measured again, until the last update.

    Attributes:
        minutes: The length that the plan was made for; 0 before there is a plan.
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

    def step_done(self, step: int, seconds: float, config: TrainConfig) -> None:
        """Time the updates, and make the plan where enough of them have been timed.

        Args:
            step: The updates so far.
            seconds: The time of training so far.
            config: The settings, which hold the length of training and may hold the updates between evaluations.
        """
        timed_s, shortest_s = seconds - self.timed_at, TIMED_SHARE * 60 * config.max_minutes
        if step == FIRST_TIMED and timed_s < shortest_s:
            self.timed_step, self.timed_at = step, seconds
        elif timed_s >= shortest_s and not self.is_over(step):
            measured = timed_s / (step - self.timed_step)
            weight = SMOOTHING if self.seconds_per_step else 1.0
            self.seconds_per_step += weight * (measured - self.seconds_per_step)
            self.timed_step, self.timed_at = step, seconds
            self.make(step, seconds, config, plans_evaluations=not self.num_steps)

    def evaluation_done(self, step: int, evaluation_s: float, seconds: float, config: TrainConfig) -> None:
        """Note the time of an evaluation, and plan the next one; after the last one there is nothing to plan.

        Args:
            step: The updates so far.
            evaluation_s: The time of the evaluation.
            seconds: The time of training so far.
            config: The settings.
        """
        if not self.is_over(step):
            self.seconds_per_evaluation = evaluation_s
            self.restart(step, seconds, config)

    def restart(self, step: int, seconds: float, config: TrainConfig) -> None:
        """Plan the rest of training anew, from an update after which nothing is being timed."""
        self.timed_step, self.timed_at = step, seconds
        if self.seconds_per_step:
            self.make(step, seconds, config, plans_evaluations=True)

    def make(self, step: int, seconds: float, config: TrainConfig, *, plans_evaluations: bool) -> None:
        """Plan the rest of the time, whose last part is an evaluation.

        Args:
            step: The updates so far.
            seconds: The time of training so far.
            config: The settings.
            plans_evaluations: Whether the next evaluation is planned too.
        """
        limit_s = 60 * config.max_minutes
        left_s = max(0.0, limit_s - seconds)
        num_evaluations = max(1, round(NUM_EVALUATIONS * left_s / limit_s))
        evaluations_s = EVALUATION_SHARE * left_s
        evaluation_s = self.seconds_per_evaluation or evaluations_s / num_evaluations
        if config.eval_steps:
            num_left = left_s / (self.seconds_per_step + evaluation_s / config.eval_steps)
        else:
            if evaluation_s:
                num_evaluations = max(1, min(num_evaluations, int(evaluations_s / evaluation_s)))
            reserved_s = min(EVALUATION_SHARE * limit_s, num_evaluations * evaluation_s)
            num_left = (left_s - reserved_s) / self.seconds_per_step
        self.minutes = config.max_minutes
        self.num_steps = step + max(0, round(num_left))
        if plans_evaluations:
            self.eval_steps = config.eval_steps or max(1, math.ceil((self.num_steps - step) / num_evaluations))
            self.next_evaluation = step + self.eval_steps

    def is_over(self, step: int) -> bool:
        """Tell whether the planned updates are done."""
        return 0 < self.num_steps <= step

    def is_evaluation_due(self, step: int) -> bool:
        """Tell whether an evaluation is planned after this update; not shortly before the end, where there is one."""
        return 0 < self.next_evaluation <= step <= self.num_steps - self.eval_steps // 2
