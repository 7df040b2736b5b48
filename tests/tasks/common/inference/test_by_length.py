"""The table by length says of what, in which unit."""

import numpy as np
import pytest

from tasks.common.inference.by_length import LengthAxis, score_by_length
from tasks.common.metrics.base import Metric, mean_percent
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task


@pytest.fixture
def task() -> Task:
    return Task(PRESETS["tiny"]())


def test_lengths_are_those_of_the_sources_in_the_tasks_unit_or_in_seconds(task, monkeypatch):
    axis = LengthAxis.choose(task, [3, 4], [["a"], ["b"]])
    assert axis.title == "source length (tokens)" and axis.describe(3, 9) == "3-9" and axis.describe(4, 4) == "4"
    monkeypatch.setattr(type(task.report), "frame_duration_s", 0.01, raising=False)
    axis = LengthAxis.choose(task, [123, 456], [["a"], ["b"]])
    assert axis.title == "source length (seconds)" and axis.describe(123, 456) == "1.23-4.56"


def test_sources_of_one_length_are_ordered_by_their_references(task):
    axis = LengthAxis.choose(task, [1, 1], [["a red two", "x"], ["two"]])
    assert axis.title == "reference length (words)" and axis.lengths == [3, 1]


def test_all_examples_are_in_one_of_the_groups():
    metric = Metric("exact", lambda hypotheses, references: np.zeros((1, 2)), mean_percent)
    lengths = [1, 1, 2, 3, 5, 8, 13, 21, 34]
    groups = score_by_length(metric, np.ones((9, 2)), LengthAxis("source length (tokens)", lengths))
    assert sum(group["examples"] for group in groups) == 9
    assert all(group["score"] == 100 for group in groups)
