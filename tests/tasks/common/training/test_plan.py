"""The length of a training: one in minutes ends in time whatever updates and evaluations take."""

import itertools
from collections.abc import Callable

import pytest

from tasks.common.training.config import TrainConfig
from tasks.common.training.plan import EpochPlan, Plan
from tasks.common.training.progress import Progress
from tasks.common.training.time_plan import TimePlan


def simulate(
    plan: Plan, step_s: Callable[[float], float], evaluation_s: float, batches_per_epoch: int = 50
) -> tuple[Progress, list[int]]:
    """Train with updates and evaluations that take so long; return the progress and the steps of the evaluations."""
    progress, evaluations = Progress(), []
    while not plan.is_over(progress):
        ends_epoch = progress.batches_done == batches_per_epoch - 1
        progress.step_done("", 0, 1, ends_epoch=ends_epoch)
        progress.seconds += step_s(progress.seconds)
        plan.step_done(progress)
        if plan.is_evaluation_due(progress) or plan.is_over(progress):
            evaluations.append(progress.step)
            progress.seconds += evaluation_s
            plan.evaluation_done(progress, evaluation_s)
    return progress, evaluations


def train_for(
    minutes: float, step_s: Callable[[float], float], evaluation_s: float, **settings: int
) -> tuple[float, list[int], int]:
    """Simulate a training in minutes, and return its seconds, the steps of its evaluations, and its steps."""
    plan = TimePlan(TrainConfig(max_minutes=minutes, **settings), Progress())
    progress, evaluations = simulate(plan, step_s, evaluation_s)
    return progress.seconds, evaluations, progress.step


@pytest.mark.parametrize("evaluation_s", [0.0, 0.5, 3.0, 10.0])
@pytest.mark.parametrize("step_s", [0.01, 0.2, 1.5])
def test_a_plan_ends_in_time_and_evaluates_a_modest_share_of_it(step_s, evaluation_s):
    seconds, evaluations, step = train_for(2.0, lambda _: step_s, evaluation_s)
    assert seconds == pytest.approx(120, abs=max(6.0, 2 * step_s))
    assert evaluations[-1] == step
    assert len(evaluations) <= 9 and evaluation_s * (len(evaluations) - 2) <= 0.2 * 120
    assert all(after - before > 0.04 * step for before, after in itertools.pairwise(evaluations))


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_a_plan_follows_a_machine_that_becomes_faster_or_slower(factor):
    seconds, _, _ = train_for(2.0, lambda now: 0.1 if now < 50 else 0.1 * factor, 1.0)
    assert seconds == pytest.approx(120, rel=0.05)


def test_an_evaluation_that_takes_most_of_the_time_leaves_the_time_to_training():
    seconds, evaluations, step = train_for(2.0, lambda _: 0.1, 60.0)
    assert len(evaluations) == 2 and step > 300
    assert seconds < 120 + 60


def test_the_first_updates_which_are_slower_are_not_timed():
    progress = Progress()
    plan = TimePlan(TrainConfig(max_minutes=10.0), progress)
    for step, seconds in ((1, 5.0), (2, 5.5), *((step, 5.5 + 0.5 * (step - 2)) for step in range(3, 40))):
        progress.step, progress.seconds = step, seconds
        plan.step_done(progress)
    assert plan.state_dict()["seconds_per_step"] == pytest.approx(0.5)


def test_a_plan_is_told_before_and_when_the_speed_is_known():
    progress = Progress()
    plan = TimePlan(TrainConfig(max_minutes=10.0, warmup_steps=9999), progress)
    assert plan.description == "planned: 10 minutes; the first updates are timed"
    told = []
    for step in range(1, 100):
        progress.step, progress.seconds = step, float(step)
        told.append(plan.step_done(progress))
    assert [text for text in told if text] == [
        "planned: 483 updates in about 10 minutes, warm-up 48, evaluation every 59 updates"
    ]


def test_a_given_interval_of_evaluations_is_kept_to():
    seconds, evaluations, _ = train_for(2.0, lambda _: 0.1, 1.0, eval_steps=100)
    assert [step % 100 for step in evaluations[:-1]] == [0] * (len(evaluations) - 1)
    assert seconds == pytest.approx(120, rel=0.05)


def test_an_update_that_takes_longer_than_all_the_time_is_the_only_one():
    assert train_for(1.0, lambda _: 100.0, 1.0)[1:] == ([1], 1)


@pytest.mark.parametrize(
    "settings, expected", [({}, [50, 100, 150]), ({"eval_steps": 40}, [40, 50, 80, 100, 120, 150])]
)
def test_a_training_in_epochs_is_evaluated_after_each_and_where_its_setting_says(settings, expected):
    plan = EpochPlan(TrainConfig(epochs=3, **settings), steps_per_epoch=50)
    progress, evaluations = simulate(plan, lambda _: 1.0, 1.0)
    assert (progress.epoch, progress.step, plan.num_steps) == (3, 150, 150)
    assert evaluations == expected


def test_the_plan_tells_for_how_many_updates_the_encoder_stays_frozen():
    thawing = {"encoder_lr": 1e-4, "unfreeze_at": 1000}
    assert "the encoder frozen for 15, " in EpochPlan(TrainConfig(epochs=3, **thawing), 50).description
    assert "frozen" not in EpochPlan(TrainConfig(epochs=3), 50).description
