"""Files of an evaluation are named after what is not the run's own, in characters that any system can have in names."""

import dataclasses

import pytest

from decoders.config import SearchConfig
from tasks.common.files import save_json
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.report_name import full_place, name_data, name_report, name_settings
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task

OWN = SearchConfig(beam=5, max_length=50)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, ""),
        ({"beam": 10, "length_penalty": 0.6}, "-beam10-length_penalty0.6"),
        ({"sample": True, "temperature": 0.7}, "-sample-temperature0.7"),
        ({"ctc_weight": 0.3}, "-ctc_weight0.3"),
    ],
)
def test_settings_of_the_search_that_are_not_the_runs_own_are_named(changes, name):
    task = Task(dataclasses.replace(PRESETS["tiny"](), search=OWN))
    assert name_settings(Predictor(task, []), dataclasses.replace(OWN, **changes)) == name


def test_a_switch_of_the_run_that_is_turned_off_is_named_like_its_flag():
    task = Task(dataclasses.replace(PRESETS["tiny"](), search=dataclasses.replace(OWN, sample=True)))
    assert name_settings(Predictor(task, []), OWN) == "-no-sample"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (None, "test"),
        ("Helsinki-NLP/opus-100:de-en", "test-opus-100-de-en"),
        ("neulab/conala@refs/convert/parquet", "test-conala-refs-convert-parquet"),
        ("my data [2]/", "test-my-data-2"),
        ("table.v2.csv", "test-table.v2"),
    ],
)
def test_other_data_are_named_by_their_last_name(data, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data [2]").mkdir()
    (tmp_path / "table.v2.csv").touch()
    assert name_data("test", data) == name


def test_the_report_on_other_data_of_the_same_name_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "evaluation"
    for place in ("first/news", "second/news"):
        (tmp_path / place).mkdir(parents=True)
    names = []
    for data in ("first/news", "second/news", str(tmp_path / "first" / "news"), "second/news", "nowhere/news"):
        names.append(name_report(folder, "test", data))
        save_json(folder / f"{names[-1]}.json", {"data": full_place(data)})
    assert names == ["test-news", "test-news-2", "test-news", "test-news-2", "test-news-3"]
    assert name_report(folder, "test", "second/news", "-beam10") == "test-news-beam10"  # nothing is there yet
    assert name_report(folder, "test", None) == "test"
    monkeypatch.chdir(tmp_path / "second")
    assert name_report(folder, "test", "news") == "test-news-2"


@pytest.mark.parametrize(
    "content", ['{"data": "news"}', "{", "[]", "{}"], ids=["published", "broken", "a list", "empty"]
)
def test_a_published_report_is_of_the_folder_of_its_name_and_a_damaged_one_is_replaced(content, tmp_path):
    (tmp_path / "news").mkdir()
    (tmp_path / "test-news.json").write_text(content)
    assert name_report(tmp_path, "test", str(tmp_path / "news")) == "test-news"
