"""Measurements of the attention while a model is trained."""

import dataclasses

import pytest
import torch

from tasks.common.training.attention_monitor import DiagonalityMonitor, FocusMonitor
from tasks.image_captioning.presets import tiny
from tasks.image_captioning.task import ImageCaptioning as Task


def tiny_task(**decoder) -> Task:
    config = tiny()
    config = dataclasses.replace(config, num_scenes=8, decoder=dataclasses.replace(config.decoder, **decoder))
    task = Task(config)
    task.fit(task.load("train"))
    return task


@pytest.mark.parametrize("attention_order", ["luong", "bahdanau"])
@torch.no_grad()
def test_the_gate_is_measured_where_there_is_one(attention_order):
    task = tiny_task(context_gate=True, attention_order=attention_order)
    model = task.build_model().eval()
    batch = task.collate(task.load("train"), [0, 1, 2])
    model.decoder.context_gate.weight.zero_()
    model.decoder.context_gate.bias.fill_(-2.0)
    measured = FocusMonitor().measure(model, batch)
    assert set(measured) == set(FocusMonitor.units)
    assert measured["gate"] == pytest.approx([torch.tensor(-2.0).sigmoid().item()] * 3)
    assert len(measured["entropy"]) == 3 and all(0 < value <= 6 for value in measured["entropy"])  # of 64 regions
    assert set(FocusMonitor().measure(tiny_task().build_model(), batch)) == {"entropy"}


def test_nothing_is_measured_without_attention():
    task = tiny_task()
    task.config = dataclasses.replace(
        task.config, attention=dataclasses.replace(task.config.attention, score="none", hidden_dim=32)
    )
    model = task.build_model()
    batch = task.collate(task.load("train"), [0, 1])
    assert FocusMonitor().measure(model, batch) == DiagonalityMonitor().measure(model, batch) == {}


def test_low_diagonality_is_reported_after_some_epochs():
    monitor = DiagonalityMonitor()
    assert monitor.warning({"diagonality": 0.2}, 3) is None
    assert monitor.warning({"diagonality": 0.9}, 30) is None
    assert monitor.warning({}, 30) is None
    assert "0.20" in str(monitor.warning({"diagonality": 0.2}, 30))
