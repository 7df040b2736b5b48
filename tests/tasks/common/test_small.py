"""The preset small: sizes, batches, dropout and length of training by the number of training examples."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import tasks
from tasks import run
from tasks.common import small
from tasks.common.cli.compare_options import parse_compare
from tasks.common.cli.preset_choice import Preset, choose_preset
from tasks.common.cli.train_options import parse_train
from tasks.common.cli.tune_options import parse_tune
from tasks.toy_world.scenes import text_pairs


@pytest.fixture
def data(tmp_path: Path, save_text_pairs: Callable[..., None]) -> str:
    """Parallel files of a few pairs of the toy world."""
    save_text_pairs(tmp_path, train=60, validation=12)
    return str(tmp_path)


def test_more_examples_have_larger_sizes_longer_training_and_less_dropout():
    numbers = [30, 200, 1000, 5000, 50_000]
    for rule in (small.hidden_size, small.batch_size, small.vocabulary_size):
        values = [rule(number) for number in numbers]
        assert values == sorted(values) and values[0] < values[-1], rule
    rates = [small.dropout_rate(number) for number in numbers]
    assert rates == sorted(rates, reverse=True) and rates[0] > rates[-1]
    minutes = [small.train_config(number).max_minutes for number in numbers]
    assert minutes == sorted(minutes) and (minutes[0], minutes[-1]) == (2.0, 30.0)


@pytest.mark.parametrize("task", [task for task in run.TASKS if task != "joint"])  # it has as many numbers as tasks
def test_every_task_has_the_preset_small_for_any_number_of_examples(task):
    build = tasks.package(task).PRESETS["small"]
    assert build() == build(small.NUM_EXAMPLES)
    few, many = build(30), build(50_000)
    assert isinstance(few, tasks.package(task).Config) and few.data is None
    assert few.batch.max_sources < many.batch.max_sources
    assert few.decoder.hidden_dim < many.decoder.hidden_dim
    assert not few.has_pretrained_encoder


def small_preset(*flags: str) -> Preset:
    return dataclasses.replace(choose_preset("translation", ["small", *flags]), num_examples=200)


def test_typed_flags_win_over_what_the_number_of_examples_says():
    options, _ = parse_train("translation", small_preset("--data", "x", "--decoder.dropout", "0.1"))
    expected = tasks.package("translation").PRESETS["small"](200)
    assert options.config.decoder == dataclasses.replace(expected.decoder, dropout=0.1)
    assert options.config.encoder == expected.encoder


def test_only_presets_that_depend_on_the_number_of_examples_count_them(data):
    preset = choose_preset("translation", ["small", "--data", data, "--source", "de", "--target", "en"])
    options, _ = parse_train("translation", preset)
    assert preset.num_examples is None
    assert preset.fit("translation", options.config).num_examples == 60
    demo = choose_preset("translation", ["demo"])
    assert demo.fit("translation", options.config) is demo


def test_what_is_guessed_of_the_data_is_told_once_and_kept_when_the_number_of_examples_is_known(tmp_path, capsys):
    pairs = text_pairs("train", count=60)
    lines = [f"{source}\t{target}\n" for source, target in zip(pairs["source"], pairs["target"], strict=True)]
    (tmp_path / "pairs.tsv").write_text("German\tEnglish\n" + "".join(lines), encoding="utf-8")
    flags = ["--data", str(tmp_path / "pairs.tsv"), "--run", str(tmp_path / "run"), "--train.max-minutes", "0.01"]
    run.main(["translation", "train", *flags])
    saved = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["config"]
    assert (saved["source"], saved["target"]) == ("German", "English")
    assert saved["batch"]["max_sources"] < small.batch_size(small.NUM_EXAMPLES)
    assert capsys.readouterr().err.count("German -> English") == 1


def test_variants_and_trials_take_their_sizes_from_the_data_too():
    expected = tasks.package("translation").PRESETS["small"](200).decoder
    preset = small_preset("--data", "x", "--vary", "attention=dot,general")
    assert {each.decoder for each in parse_compare("translation", preset)[1].values()} == {expected}
    preset = small_preset("--data", "x", "--space", "train.lr=1e-4..1e-2")
    assert parse_tune("translation", preset)[0].parse()[0].config.decoder == expected


def test_a_trained_run_keeps_the_sizes_that_its_data_gave_it(data, tmp_path):
    folder = tmp_path / "run"
    flags = ["--data", data, "--source", "de", "--target", "en", "--run", str(folder), "--train.max-minutes", "0.01"]
    run.main(["translation", "train", "small", *flags])
    saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
    assert saved["batch"]["max_sources"] == small.batch_size(60) < small.batch_size(small.NUM_EXAMPLES)
    assert saved["decoder"]["dropout"] == small.dropout_rate(60)
