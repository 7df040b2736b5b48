"""Metrics besides those of a task: those it has a use for, and one line, before anything is decoded, otherwise."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

import tasks
from tasks import audio_visual_speech, image_captioning, run, speech_recognition, translation, video_to_text
from tasks.common.errors import UsageError
from tasks.common.files import load_json, save_json
from tasks.common.hub.card import find_reports
from tasks.common.inference.added_metrics import AddedMetrics
from tasks.common.task import Task

CPU = torch.device("cpu")


def load(*scored: Task, **flags: str | None) -> AddedMetrics:
    settings = {"bert_score": None, "clip_score": None, "normalization": "none"} | flags
    return AddedMetrics.load(scored, CPU, **settings)  # type: ignore[arg-type]


@pytest.fixture
def images() -> Task:
    return tasks.task_class("image_captioning")(dataclasses.replace(image_captioning.PRESETS["tiny"](), num_scenes=48))


@pytest.fixture
def texts() -> Task:
    return tasks.task_class("translation")(translation.PRESETS["tiny"]())


@pytest.fixture
def sounds() -> Task:
    return tasks.task_class("speech_recognition")(speech_recognition.PRESETS["tiny"]())


def test_images_are_scored_with_clip_and_all_texts_with_bert(
    images: Task, texts: Task, bert_model: Path, clip_model: Path
):
    added = load(images, texts, bert_score=str(bert_model), clip_score=str(clip_model))
    images.feature_dim = 0  # type: ignore[attr-defined]  # as of a fitted task whose sources are images
    examples = images.load("validation")
    metrics = added.extend([], images, examples)
    assert [metric.name for metric in metrics] == ["bert_score", "clip_score"]
    for metric in metrics:
        stats = metric.sufficient_stats(["a dog"] * len(examples), examples["references"])
        assert stats.shape == (len(examples), 2) and 0 <= metric.aggregate(stats.sum(axis=0)) <= 100
    assert [metric.name for metric in added.extend([], texts, examples)] == ["bert_score"]


def test_features_in_place_of_images_are_refused(images: Task, clip_model: Path):
    images.feature_dim = 7  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"^--clip-score: \S+ holds features, not the image$"):
        load(images, clip_score=str(clip_model)).extend([], images, images.load("validation"))


def test_error_rates_are_normalized_and_the_evaluation_has_a_name_of_its_own(sounds: Task):
    examples = datasets.Dataset.from_dict({"source": []})
    none, whisper = load(sounds), load(sounds, normalization="whisper")
    assert (none.suffix, whisper.suffix) == ("", "-whisper")
    values = [added.extend(sounds.metrics, sounds, examples)[0](["colour"], [["color"]]) for added in (none, whisper)]
    assert values == [100, 0]


def test_the_model_card_has_the_scores_with_the_runs_own_normalization(sounds: Task, tmp_path: Path):
    own = {"search": dataclasses.asdict(sounds.config.search), "models": 1, "rerank_weight": None}
    for name, normalization in (("test", None), ("test-whisper", "whisper")):
        save_json(tmp_path / "evaluation" / f"{name}.json", own | {"normalization": normalization})
    assert [report["normalization"] for report in find_reports(tmp_path, sounds)] == [None]


@pytest.mark.parametrize(
    "config",
    [speech_recognition.PRESETS["tiny"], audio_visual_speech.PRESETS["grid"], video_to_text.PRESETS["grid"]],
)
def test_all_tasks_with_word_error_rates_can_be_normalized(config: Callable[[], Any]):
    task = type(config()).__module__.split(".")[1]
    load(tasks.task_class(task)(config()), normalization="whisper_basic")


@pytest.mark.parametrize(
    ("kind", "flags", "error"),
    [
        (
            "texts",
            {"clip_score": "CLIP"},
            "--clip-score compares sentences with images; this run reads text: leave",
        ),
        ("sounds", {"clip_score": "CLIP"}, "this run reads audio, video: leave it out"),
        ("texts", {"normalization": "whisper"}, "--normalize whisper is for word error rates; the metrics of this run"),
        ("images", {"clip_score": "BERT"}, "--clip-score: the CLIP model BERT can't be loaded: its type is bert"),
        ("images", {"clip_score": "/no/folder"}, "--clip-score: .* there is no such folder"),
        ("texts", {"bert_score": "CLIP"}, "--bert-score: the text model CLIP can't be loaded: its type is clip"),
        ("texts", {"bert_score": "/no/folder"}, "--bert-score: .* there is no such folder"),
    ],
)
def test_what_a_run_has_no_use_for_or_can_not_be_loaded_is_one_line(
    kind: str,
    flags: dict[str, str],
    error: str,
    request: pytest.FixtureRequest,
    bert_model: Path,
    clip_model: Path,
):
    folders = {"BERT": str(bert_model), "CLIP": str(clip_model)}
    with pytest.raises(UsageError) as raised:
        load(request.getfixturevalue(kind), **{name: folders.get(value, value) for name, value in flags.items()})
    message = str(raised.value)
    for name, folder in folders.items():
        message = message.replace(folder, name)
    assert re.search(error, message) and "\n" not in message


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> Path:
    """A run on a few sentences of the toy world."""
    folder = tmp_path_factory.mktemp("run")
    save_text_pairs(folder, train=60, validation=8, test=8)
    flags = ["--data", str(folder), "--train.epochs", "1", "--search.max-length", "5"]
    run.main(["translation", "train", "tiny", "--run", str(folder / "run"), *flags])
    return folder / "run"


def test_evaluate_reports_an_added_metric_like_any_other(
    trained: Path, bert_model: Path, capsys: pytest.CaptureFixture[str]
):
    run.main(["translation", "evaluate", str(trained), "--bert-score", str(bert_model)])
    assert re.search(r"^bert_score +\S+    95 % interval \S+ to \S+  F1\|model:bert\|", capsys.readouterr().out, re.M)
    report = load_json(trained / "evaluation" / "test.json")
    low, high = report["intervals"]["bert_score"]
    assert low <= report["metrics"]["bert_score"] <= high


def test_other_programs_compute_the_scores_of_the_report_from_its_files(trained: Path):
    run.main(["translation", "evaluate", str(trained)])
    folder = trained / "evaluation"
    report, sources = load_json(folder / "test.json"), (folder / "test.src").read_text(encoding="utf-8")
    assert sources == (trained.parent / "test.de").read_text(encoding="utf-8")
    program = [sys.executable, "-m", "sacrebleu", "test.ref0", "-i", "test.txt", "-m", "bleu", "chrf", "-w", "6"]
    scores = json.loads(subprocess.run(program, cwd=folder, capture_output=True, text=True, check=True).stdout)
    for each, name in zip(scores, ("bleu", "chrf"), strict=True):
        assert each["score"] == pytest.approx(report["metrics"][name], abs=1e-5)


@pytest.mark.parametrize("flags", [["--bert-score", "/no/folder"], ["--normalize", "whisper"], ["--clip-score", "x"]])
def test_evaluate_refuses_before_it_decodes(
    flags: list[str], trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def decode(*_: object) -> Callable:
        raise AssertionError("it has decoded")

    monkeypatch.setattr("tasks.common.inference.evaluation.generate_texts", decode)
    with pytest.raises(SystemExit) as exited:
        run.main(["translation", "evaluate", str(trained), "--split", "validation", *flags])
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert exited.value.code == 2 and line.startswith(f"error: {flags[0]}")
