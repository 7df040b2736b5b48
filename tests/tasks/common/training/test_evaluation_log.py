"""The learning curves of a run: the likelihood of training and validation, and a metric of each part."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.common.metrics.base import Metric
from tasks.common.training.evaluation_log import EvaluationLog, describe_evaluation, learning_curves
from tasks.common.training.validation import Validation


def metric(name: str, unit: str = "") -> Metric:
    return Metric(name, lambda *_: np.zeros((1, 1)), lambda total: 0.0, unit=unit)


def validation_of(**metrics: Metric) -> Validation:
    """Make a validation of parts with a metric each, which is asked for names alone."""
    validation = object.__new__(Validation)
    parts: Any = {name: SimpleNamespace(metrics=[each, metric("other")]) for name, each in metrics.items()}
    validation.parts = parts
    return validation


def test_curves_of_a_task_are_its_likelihood_and_its_first_metric():
    records = [
        {"step": 10, "nll": 3.0, "validation": {"nll": 3.5, "bleu": 1.0, "other": 7.0}},
        {"step": 20, "nll": 2.0, "validation": {"nll": 2.5, "bleu": 4.0, "other": 7.0}},
    ]
    assert learning_curves(records, validation_of(**{"": metric("bleu")})) == {
        "nll (nats/token)": {"training": [(10, 3.0), (20, 2.0)], "validation": [(10, 3.5), (20, 2.5)]},
        "bleu": {"validation": [(10, 1.0), (20, 4.0)]},
    }


def test_metrics_of_several_parts_share_a_panel_if_they_have_the_same_name_and_unit():
    scores = {"nll": 1.0, "a nll": 1.0, "a exact": 10.0, "b exact": 20.0, "c wer": 30.0}
    curves = learning_curves(
        [{"step": 5, "validation": scores}],  # of self-critical training: without the likelihood of training
        validation_of(a=metric("exact", "%"), b=metric("exact", "%"), c=metric("wer", "%")),
    )
    assert curves == {
        "nll (nats/token)": {"validation": [(5, 1.0)]},
        "exact (%)": {"a": [(5, 10.0)], "b": [(5, 20.0)]},
        "wer (%)": {"c": [(5, 30.0)]},
    }


def test_the_line_of_an_evaluation_says_per_token_where_the_loss_is_no_likelihood():
    validation = validation_of(**{"": metric("cider")})
    validation.parts[""].describe = lambda scores: f"cider {scores['cider']:.2f}"
    record = {"step": 1200, "epoch": 1.5, "loss": -0.25, "tokens_per_second": 3210.4, "validation": {"cider": 80.0}}
    assert describe_evaluation(record, validation, 2400) == (
        "epoch 1.5  step 1,200 of 2,400  loss -0.250 per token  3,210 target tokens/s  validation: cider 80.00"
    )


def test_what_a_killed_training_has_left_of_its_curves_is_removed_and_plots_of_others_are_not(tmp_path: Path):
    plots = tmp_path / "plots"
    plots.mkdir()
    for name in (".learning_curves.png.123", ".dog.png.456", "dog.png"):
        (plots / name).touch()
    EvaluationLog(tmp_path, validation_of(), 0)
    assert sorted(file.name for file in plots.iterdir()) == [".dog.png.456", "dog.png"]


@pytest.mark.usefixtures("drawn_learning_curves")
def test_curves_of_a_resumed_training_are_those_of_the_records_that_it_keeps(tmp_path: Path):
    validation = validation_of(**{"": metric("bleu")})
    curves = tmp_path / "plots" / "learning_curves.png"
    lines = [f'{{"step": {step}, "nll": 3.0, "validation": {{"nll": 3.5, "bleu": 1.0}}}}\n' for step in (10, 20)]
    drawn = []
    for count in (2, 1):
        (tmp_path / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
        EvaluationLog(tmp_path, validation, count)
        drawn.append(curves.read_bytes())
        curves.unlink()
    assert drawn[0] != drawn[1]
    EvaluationLog(tmp_path, validation, 0)
    assert not curves.exists()
