"""Translation: directions, and settings that are refused or unused."""

import pytest

from tasks.common.inference.reranking import is_reverse_of
from tasks.translation import PRESETS, Config
from tasks.translation.task import Translation as Task


def test_two_directions_of_the_same_languages_are_the_reverse_of_each_other():
    forward = Task(Config(source="de", target="en"))
    assert is_reverse_of(Task(Config(source="en", target="de")), forward)
    assert not is_reverse_of(Task(Config(source="en", target="fr")), forward)
    assert not is_reverse_of(Task(Config(source="de", target="en")), forward)


def test_source_and_target_must_differ():
    with pytest.raises(ValueError, match="source and target are both 'de'; allowed are two different ones"):
        Config(source="de", target="de")


def test_skip_invalid_is_unused_without_data():
    assert Config().unused_settings()["skip_invalid"] == "data is not set"
    assert "skip_invalid" not in Config(data="x").unused_settings()
    assert Config(data="x").unused_settings()["batch.targets_per_source"] == "a source has one target"


def test_bleu_selects_the_checkpoint_and_perplexity_is_reported():
    task = Task(Config())
    assert task.selection_metric.name == "bleu" and task.selection_metric.higher_is_better
    assert task.report.perplexity and task.report.baselines(task.load("validation")) == {}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_built(name):
    config = PRESETS[name]()
    assert PRESETS[name].__doc__ and isinstance(config, Config)
