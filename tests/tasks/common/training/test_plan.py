"""The plan of a training that is given in minutes: it ends in time whatever updates and evaluations take."""

import itertools
from collections.abc import Callable

import pytest

from tasks.common.training.config import TrainConfig
from tasks.common.training.plan import TimePlan


def simulate(
    minutes: float, step_s: Callable[[float], float], evaluation_s: float, **settings: int
) -> tuple[float, list[int], int]:
    """Train with updates and evaluations that take so long, and return the time, the evaluations and the updates."""
    config, plan = TrainConfig(max_minutes=minutes, **settings), TimePlan()
    step, seconds, evaluations = 0, 0.0, []
    while not plan.is_over(step):
        step, seconds = step + 1, seconds + step_s(seconds)
        plan.step_done(step, seconds, config)
        is_due = step % config.eval_steps == 0 if config.eval_steps else plan.is_evaluation_due(step)
        if is_due or plan.is_over(step):
            evaluations.append(step)
            seconds += evaluation_s
            plan.evaluation_done(step, evaluation_s, seconds, config)
    return seconds, evaluations, step


@pytest.mark.parametrize("evaluation_s", [0.0, 0.5, 3.0, 10.0])
@pytest.mark.parametrize("step_s", [0.01, 0.2, 1.5])
def test_a_plan_ends_in_time_and_evaluates_a_modest_share_of_it(step_s, evaluation_s):
    seconds, evaluations, step = simulate(2.0, lambda _: step_s, evaluation_s)
    assert seconds == pytest.approx(120, abs=max(6.0, 2 * step_s))
    assert evaluations[-1] == step
    assert len(evaluations) <= 9 and evaluation_s * (len(evaluations) - 2) <= 0.2 * 120
    assert all(after - before > 0.04 * step for before, after in itertools.pairwise(evaluations))


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_a_plan_follows_a_machine_that_becomes_faster_or_slower(factor):
    seconds, _, _ = simulate(2.0, lambda now: 0.1 if now < 50 else 0.1 * factor, 1.0)
    assert seconds == pytest.approx(120, rel=0.05)


def test_an_evaluation_that_takes_most_of_the_time_leaves_the_time_to_training():
    seconds, evaluations, step = simulate(2.0, lambda _: 0.1, 60.0)
    assert len(evaluations) == 2 and step > 300
    assert seconds < 120 + 60


def test_the_first_updates_which_are_slower_are_not_timed():
    plan, config = TimePlan(), TrainConfig(max_minutes=10.0)
    for step, seconds in ((1, 5.0), (2, 5.5), *((step, 5.5 + 0.5 * (step - 2)) for step in range(3, 40))):
        plan.step_done(step, seconds, config)
    assert plan.seconds_per_step == pytest.approx(0.5)


def test_a_given_interval_of_evaluations_is_kept_to():
    seconds, evaluations, _ = simulate(2.0, lambda _: 0.1, 1.0, eval_steps=100)
    assert [step % 100 for step in evaluations[:-1]] == [0] * (len(evaluations) - 1)
    assert seconds == pytest.approx(120, rel=0.05)


def test_an_update_that_takes_longer_than_all_the_time_is_the_only_one():
    assert simulate(1.0, lambda _: 100.0, 1.0)[1:] == ([1], 1)
