"""Presets that name data of the hub say whether these were tried, and the READMEs name them."""

from pathlib import Path

import pytest

import tasks
from encoders.pretrained.downloads import HubName

ROOT = Path(tasks.__file__).parent


def presets_of_the_hub() -> list[tuple[str, str, str]]:
    """The task, the preset and the data of each preset whose data are on the hub."""
    built = [(task, name, build()) for task in tasks.TASKS for name, build in tasks.package(task).PRESETS.items()]
    named = [(task, name, getattr(config, "data", None)) for task, name, config in built]
    return [(task, name, data) for task, name, data in named if data and HubName.parse(data)]


def test_there_are_some():
    assert len(presets_of_the_hub()) >= 13


@pytest.mark.parametrize(("task", "name", "data"), presets_of_the_hub())
def test_a_preset_of_the_hub_says_that_its_data_were_not_tried_and_what_takes_their_place(task, name, data):
    others = {other for _, other, same in presets_of_the_hub() if same == data}
    texts = [str(tasks.package(task).PRESETS[other].__doc__) for other in others]  # variants have the data of the first
    assert any("not tried" in text and "FOLDER" in text for text in texts)
    assert f"`{data}`" in (ROOT / task / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "gone", ["nlphuji/flickr30k", "Harvard/gigaword", "mozilla-foundation", "li2017dailydialog", "EdinburghNLP/xsum"]
)
def test_no_preset_names_data_that_come_as_a_program_or_are_empty(gone):
    assert not [data for _, _, data in presets_of_the_hub() if data.startswith(gone) and "@refs/convert" not in data]
