"""The command line: its output and files, and one line on standard error with exit code 2 for every mistake."""

import csv
import dataclasses
import functools
import io
import itertools
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from matplotlib.image import imread

from decoders.config import SearchConfig, TransformerDecoderConfig
from tasks import run
from tasks.common.cli import side_by_side, train_options, tune
from tasks.common.cli.arguments import parse
from tasks.common.cli.compare_options import parse_compare
from tasks.common.cli.demo import TOY_TASKS
from tasks.common.cli.predict import describe_unfamiliar
from tasks.common.cli.preset_choice import choose_preset
from tasks.common.cli.train_options import parse_train
from tasks.common.cli.tune_options import parse_tune
from tasks.common.data.inputs import InputSegment, ParsedInput
from tasks.common.errors import UsageError
from tasks.common.inference import evaluation
from tasks.common.task import Task
from tasks.common.text_task import TextTask
from tasks.dialogue.chat_options import ChatOptions
from tasks.image_captioning import PRESETS as IMAGE_PRESETS
from tasks.speech_recognition import PRESETS as SPEECH_PRESETS
from tasks.toy_world import scenes
from tasks.translation import PRESETS

SENTENCES = ["eine rote Sieben über einer blauen Zwei", "hier ist eine kleine Vier."]
TINY = ["--train.epochs", "1", "--search.max-length", "12"]


@pytest.fixture(autouse=True)
def _small_world_in_an_empty_folder(tmp_path, monkeypatch) -> None:
    """The toy world with few scenes, so that training takes a second or two."""
    monkeypatch.chdir(tmp_path)
    for split, count in {"train": 256, "validation": 20, "test": 24}.items():
        monkeypatch.setitem(scenes.NUM_SCENES, split, count)


@pytest.fixture(scope="module")
def train(tmp_path_factory) -> Callable[..., str]:
    """Trains a tiny run with some flags, once, and returns its folder."""

    @functools.cache
    def make(*flags: str) -> str:
        folder = str(tmp_path_factory.mktemp("run"))
        run.main(["translation", "train", "tiny", "--run", folder, *TINY, *flags])
        return folder

    return make


def call(capsys, *arguments: str) -> list[str]:
    """Run a command of translation and return its lines on standard output."""
    capsys.readouterr()
    run.main(["translation", *arguments])
    return capsys.readouterr().out.split("\n")[:-1]


def refused(capsys, *arguments: str) -> str:
    """Run a command that must fail, and return its one line of error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run.main([*arguments])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert not re.search(r"[─│╭╮╰╯]|---", err), f"tyro's frame: {err}"
    return err


def is_image(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and bool(imread(path).std() > 0)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--train.lr", "fast"], "--train.lr: could not convert string to float: 'fast'; allowed is FLOAT"),
        (["--train.epochs", "1.5"], "--train.epochs: .*'1.5'; allowed is INT"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_what_is_allowed(flags, message, capsys):
    with pytest.raises(SystemExit):
        run.main(["translation", "train", "tiny", *flags])
    assert re.search(f"^error: {message}$", capsys.readouterr().err)


def test_the_overview_lists_tasks_commands_and_presets(capsys):
    run.main([])
    assert {*run.TASKS, *run.TASK_COMMANDS, *PRESETS, *run.PROGRAM_COMMANDS} <= set(
        re.findall(r"\w+", capsys.readouterr().out)
    )


@pytest.mark.parametrize("command", run.TASK_COMMANDS)
def test_every_command_lists_its_flags(command, capsys):
    with pytest.raises(SystemExit, match=r"^0?$"):
        run.main(["translation", command, "--help"])
    assert "--" in capsys.readouterr().out


def test_predict_reads_arguments_files_and_standard_input_and_keeps_empty_lines_in_place(train, capsys, monkeypatch):
    first, second = call(capsys, "predict", train(), *SENTENCES)
    assert first and second
    content = "\r\n".join([SENTENCES[0], "", SENTENCES[1]]).encode()
    Path("input.de").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    for source in ("input.de", "-"):
        assert call(capsys, "predict", train(), source) == [first, "", second]


def test_predict_writes_an_empty_line_for_each_of_nothing_but_empty_lines(train, capsys):
    Path("input.de").write_text("\n \n")
    assert call(capsys, "predict", train(), "input.de") == ["", ""]


@pytest.mark.parametrize(
    "typed, is_reported", [("articel.txt", True), ("folder/", True), ("Ende.", False), ("a.b c", False)]
)
def test_the_name_of_a_missing_file_is_reported_and_read_as_text(typed, is_reported, train, capsys):
    run.main(["translation", "predict", train(), typed])
    assert (f"there is no file {typed}" in capsys.readouterr().err) == is_reported


def test_predict_takes_a_sentence_that_is_longer_than_a_files_name_can_be(train, capsys):
    assert len(call(capsys, "predict", train(), " und ".join([SENTENCES[0]] * 10))) == 1


def test_predict_writes_the_n_best_of_each_input_best_first_with_ranks_and_scores(train, capsys):
    lines = call(capsys, "predict", train(), *SENTENCES, "--n-best", "3", "--scores")
    inputs, ranks, scores, texts = zip(*(line.split("\t") for line in lines), strict=True)
    assert inputs == ("1",) * 3 + ("2",) * 3 and ranks == ("1", "2", "3") * 2
    without_scores = [f"{number}\t{rank}\t{text}" for number, rank, text in zip(inputs, ranks, texts, strict=True)]
    assert call(capsys, "predict", train(), *SENTENCES, "--n-best", "3") == without_scores
    for three in (slice(0, 3), slice(3, 6)):
        assert list(scores[three]) == sorted(scores[three], key=float, reverse=True)
        assert len(set(texts[three])) == 3
    assert list(texts[::3]) == call(capsys, "predict", train(), *SENTENCES)


def test_predict_names_plots_by_their_inputs_and_overwrites_none(train, capsys):
    assert len(call(capsys, "predict", train(), *SENTENCES, "--plot-dir", "plots")) == 2
    names = {"eine-rote-Sieben-über-einer-blauen-Zwei.png", "hier-ist-eine-kleine-Vier.png"}
    assert {path.name for path in Path("plots").iterdir() if is_image(path)} == names
    run.main(["translation", "predict", train(), SENTENCES[1], "--plot-dir", "plots"])
    assert f"plot: {Path('plots', 'hier-ist-eine-kleine-Vier (2).png')}" in capsys.readouterr().err
    assert len(list(Path("plots").iterdir())) == 3


def test_predict_writes_a_file_for_each_input_and_replaces_none(train, capsys):
    Path("input.de").write_text(SENTENCES[0])
    Path("out").mkdir()
    Path("out", "hier-ist-eine-kleine-Vier.txt").write_text("kept")
    assert call(capsys, "predict", train(), "input.de", *SENTENCES, "--output-dir", "out") == []
    names = {"eine-rote-Sieben-über-einer-blauen-Zwei", "eine-rote-Sieben-über-einer-blauen-Zwei (2)"}
    names |= {"hier-ist-eine-kleine-Vier", "hier-ist-eine-kleine-Vier (2)"}
    assert {path.stem for path in Path("out").iterdir()} == names
    assert Path("out", "hier-ist-eine-kleine-Vier.txt").read_text() == "kept"
    lines = call(capsys, "predict", train(), *SENTENCES)
    assert Path("out", "hier-ist-eine-kleine-Vier (2).txt").read_text().splitlines() == lines[1:]
    assert Path("out", "eine-rote-Sieben-über-einer-blauen-Zwei.txt").read_text().splitlines() == lines[:1]


def test_inputs_without_a_duration_have_no_subtitles(train, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"^2$"):
        run.main(["translation", "predict", train(), SENTENCES[0], "--format", "vtt", "--output-dir", "out"])
    assert "has no duration: there are no subtitles of it" in capsys.readouterr().err
    assert not Path("out").exists()


def test_rows_of_hypotheses_name_their_input_and_say_why_there_are_none(train, capsys):
    lines = call(capsys, "predict", train(), SENTENCES[0], "", "--n-best", "2", "--format", "jsonl")
    first, second, empty = map(json.loads, lines)
    assert [(row["rank"], row["name"], row["start"]) for row in (first, second)] == [
        (rank, SENTENCES[0], None) for rank in (1, 2)
    ]
    assert empty == {
        "input": 2,
        "name": "",
        "segment": None,
        "text": "",
        "notes": ["is empty", "nothing is recognized"],
    }
    assert call(capsys, "predict", train(), SENTENCES[0], "--format", "tsv")[1].split("\t")[:3] == [
        SENTENCES[0],
        "",
        "",
    ]


def test_inputs_far_from_the_training_data_are_named_in_one_line_and_in_json(train, capsys):
    known, unknown = SENTENCES[0], "Ṫḥẹ q̇ụịḳ ḅṛọẉṇ ḟọẋ"
    run.main(["translation", "predict", train(), known, unknown, "", "--format", "json"])
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["input"], line["name"]) for line in lines] == [(1, known), (2, unknown), (3, "")]
    assert [bool(line["out_of_domain"]) for line in lines] == [False, True, False]
    assert "tokens are unknown" in lines[1]["out_of_domain"]
    meaningless = ["has no word of the vocabulary: its output is meaningless"]
    assert [line["notes"] for line in lines] == [[], meaningless, ["is empty", "nothing is recognized"]]
    assert lines[0]["text"] == lines[0]["segments"][0]["hypotheses"][0]["text"]
    (warning,) = (line for line in err.splitlines() if line.startswith("warning"))
    assert "1 of 3 inputs are far from what this model was trained on, the toy world" in warning
    assert f"input 2 ({unknown})" in warning


def test_of_many_inputs_far_from_the_training_data_few_are_kept_to_be_named(train, capsys, monkeypatch):
    kept: list[int] = []

    def describe(statistics, task):
        kept.append(len(statistics.unfamiliar))
        return describe_unfamiliar(statistics, task)

    monkeypatch.setattr("tasks.common.cli.predict.describe_unfamiliar", describe)
    run.main(["translation", "predict", train(), *["Ṫḥẹ q̇ụịḳ ḅṛọẉṇ"] * 9])
    (warning,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("warning"))
    assert "9 of 9 inputs are far" in warning and warning.endswith("; and 5 more")
    assert kept == [4]


def test_an_empty_line_is_announced_where_there_is_one(train, capsys):
    arguments = ["translation", "predict", train(), "", SENTENCES[0]]
    run.main(arguments)
    assert "input 1 is empty; its line stays empty\n" in capsys.readouterr().err
    run.main([*arguments, "--format", "json"])
    assert "input 1 is empty\n" in capsys.readouterr().err


def test_the_real_time_factor_is_that_of_generating_the_sentences_alone(train, capsys, monkeypatch):
    segment = InputSegment("zwei", (0.0, 10.0))
    monkeypatch.setattr(TextTask, "parse_text", lambda *_: ParsedInput("talk.wav", [segment]))
    monkeypatch.setattr(time, "monotonic", functools.partial(next, itertools.count(0.0)))  # a second for each reading
    monkeypatch.setattr(TextTask, "unknown_shares", lambda *_: [float(time.monotonic() * 0)])
    run.main(["translation", "predict", train(), "x"])
    assert "10.0 s of input generated in 1.0 s: real-time factor 0.1000" in capsys.readouterr().err


def test_a_run_without_statistics_of_its_domain_predicts_without_a_warning(train, capsys):
    shutil.copytree(train(), "old")
    Path("old/domain.json").unlink()
    run.main(["translation", "predict", "old", "zwei Ꙁ"])
    assert "warning" not in capsys.readouterr().err
    Path("old/domain.json").write_text('{"quantiles": 1}')
    assert "domain.json" in refused(capsys, "translation", "predict", "old", "zwei")


def test_samples_depend_on_their_seed(train, capsys):
    samples = [call(capsys, "predict", train(), "x", "--sample", "--n-best", "8", "--seed", seed) for seed in "112"]
    assert len(samples[0]) == 8 and samples[0] == samples[1] != samples[2]


def test_evaluate_leaves_scores_hypotheses_and_a_plot(train, capsys):
    printed = call(capsys, "evaluate", train())
    folder = Path(train()) / "evaluation"
    report = json.loads((folder / "test.json").read_text())
    assert report.keys() >= {"split", "examples", "metrics", "signature", "hypotheses"}
    assert (report["split"], report["examples"], report["hypotheses"]) == ("test", 24, "test.txt")
    assert report["metrics"].keys() == report["signature"].keys() == {"bleu", "bleu_lowercase", "chrf", "ter"}
    streams = itertools.zip_longest(*scenes.text_pairs("test")["references"])
    outputs = (folder / "test.txt").read_text().split("\n")[:-1]
    assert report["metrics"]["bleu"] == pytest.approx(sacrebleu.corpus_bleu(outputs, [*streams]).score)
    assert any(f"{report['metrics']['bleu']:.2f}" in line and report["signature"]["bleu"] in line for line in printed)
    assert is_image(folder / "test.png")
    rows = list(csv.DictReader((folder / "test.examples.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["hypothesis"] for row in rows] == outputs
    assert rows[0].keys() == {"example", "source", "reference", "hypothesis", "bleu", "bleu_lowercase", "chrf"}
    assert "bleu by source length (tokens)" in printed
    assert len(report["selected"]) == 12 and sum("median" in line for line in printed) == 1


def test_evaluate_against_another_run_needs_its_hypotheses_and_tests_the_difference(train, capsys):
    other, command = train("--train.seed", "2"), ["evaluate", train(), "--split", "validation"]
    assert "evaluate that run on validation first" in refused(capsys, "translation", *command, "--baseline", other)
    call(capsys, "evaluate", other, "--split", "validation")
    assert any(f"against {other}, p =" in line for line in call(capsys, *command, "--baseline", other))
    ours, theirs = (json.loads(Path(name, "evaluation/validation.json").read_text()) for name in (train(), other))
    assert ours["baseline"]["run"] == other
    for name, score in ours["metrics"].items():
        assert ours["baseline"][name]["difference"] == pytest.approx(score - theirs["metrics"][name])
        assert 0 < ours["baseline"][name]["p"] <= 1


def test_other_data_and_other_searches_have_reports_of_their_own(train, capsys):
    shutil.copytree(train(), "run", ignore=shutil.ignore_patterns("evaluation"))
    call(capsys, "evaluate", "run")
    scenes.text_pairs("test").select_columns(["source", "target"]).rename_columns(
        {"source": "de", "target": "en"}
    ).select(range(10)).to_json("my data/test.jsonl")
    flags = ["--data", "my data/test.jsonl"]
    before = {path.name: path.read_bytes() for path in Path("run/evaluation").iterdir()}
    run.main(["translation", "evaluate", "run", "--beam", "1", "--length-penalty", "0.6", "--data", "my data"])
    assert "scores in test-my-data-beam1-length_penalty0.6.json" in " ".join(capsys.readouterr().err.split())
    call(capsys, "evaluate", "run", *flags)
    call(capsys, "evaluate", "run", "--ensemble", "run")
    names = {path.stem for path in Path("run/evaluation").glob("*.png")}
    assert names == {"test", "test-my-data-beam1-length_penalty0.6", "test-test", "test-ensemble2"}
    assert all(Path("run/evaluation", name).read_bytes() == content for name, content in before.items())


def test_a_baseline_is_read_for_the_same_data_with_the_same_search_or_its_own(train, capsys):
    for name in ("run", "other"):
        shutil.copytree(train(), name, ignore=shutil.ignore_patterns("evaluation"))
    call(capsys, "evaluate", "other")
    command = ["evaluate", "run", "--beam", "1", "--baseline"]
    assert f"baseline: {Path('other/evaluation/test.txt')}" in call(capsys, *command, "other")
    call(capsys, "evaluate", "other", "--beam", "1")
    assert f"baseline: {Path('other/evaluation/test-beam1.txt')}" in call(capsys, *command, "other")
    call(capsys, "evaluate", "run")
    assert f"baseline: {Path('run/evaluation/test.txt')}" in call(capsys, *command, "run")
    assert {*json.loads(Path("run/evaluation/test-beam1.json").read_text())["baseline"]} >= {"run", "bleu"}
    scenes.text_pairs("test").rename_columns({"source": "de", "target": "en"}).to_json("mine.jsonl")
    error = refused(capsys, "translation", *command, "other", "--data", "mine.jsonl")
    assert "evaluation has no hypotheses of test with --data mine.jsonl: evaluate that run on" in error


def test_evaluate_counts_the_sources_of_other_data_that_are_far_from_the_training_data(train, capsys):
    sources = [SENTENCES[0], "Ṫḥẹ q̇ụịḳ ḅṛọẉṇ ḟọẋ", "ŭŭŭ ĕĕĕ"]
    Path("far").mkdir()
    Path("far/test.jsonl").write_text("".join(json.dumps({"de": each, "en": "a two"}) + "\n" for each in sources))
    far = "far from what the model was trained on: "
    assert f"{far}2 of 3 sources" in call(capsys, "evaluate", train(), "--data", "far")
    assert not any(line.startswith(far) for line in call(capsys, "evaluate", train()))


def test_a_baseline_is_plotted_by_the_first_metric_of_the_examples(train, capsys, monkeypatch):
    call(capsys, "evaluate", train())
    plotted: list[dict[str, Any]] = []
    monkeypatch.setattr(evaluation, "plot_by_length", lambda systems, *_: plotted.append(systems))
    monkeypatch.setattr(Task, "metrics_for", lambda self, examples: self.metrics[2:0:-1])
    shutil.copytree(train(), "other")
    call(capsys, "evaluate", train(), "--baseline", "other")
    own, other = plotted[0].values()
    assert own == other


def test_runs_with_the_same_vocabulary_form_an_ensemble(train, capsys):
    alone = call(capsys, "predict", train(), *SENTENCES)
    assert call(capsys, "predict", train(), *SENTENCES, "--ensemble", train()) == alone
    other, incompatible = train("--train.seed", "2"), train("--vocabulary.size", "20")
    assert len(call(capsys, "predict", train(), *SENTENCES, "--ensemble", other)) == 2
    assert "24 examples" in call(capsys, "evaluate", train(), "--ensemble", other)[0]
    assert "another vocabulary" in refused(capsys, "translation", "evaluate", train(), "--ensemble", incompatible)


def test_compare_makes_a_table_and_plots_and_trains_nothing_twice(capsys):
    command = ["compare", "tiny", "--vary", "attention=general,none", "--run", "runs", *TINY]
    assert call(capsys, *command) == Path("runs/compare.md").read_text().split("\n")[:-1]
    first, second = csv.DictReader(Path("runs/compare.csv").read_text().splitlines())
    assert (first["variant"], second["variant"]) == ("attention=general", "attention=none")
    assert re.fullmatch(r"[+-]\d+\.\d\d, p [01]\.\d{3}", second["against the first"])
    assert float(first["MB of activations for 32 examples"]) > 0 and 0 < float(first["coverage"]) <= 1
    assert float(first["entropy, bits"]) > 0 and second["entropy, bits"] == second["diagonality"] == ""
    assert all(is_image(Path("runs", name)) for name in ("by_length.png", "curves.png"))
    times = {path: path.stat().st_mtime_ns for path in Path("runs").glob("*/best.safetensors")}
    call(capsys, *command)
    assert len(times) == 2 and all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_tune_searches_continues_where_it_stopped_and_puts_the_best_first(capsys):
    flags = ["--space", "train.lr=1e-4..1e-2", "--space", "decoder.hidden_dim=8..16", "--space", "attention=dot,none"]
    command = ["tune", "tiny", *flags, "--run", "runs", *TINY]
    call(capsys, *command, "--trials", "1")
    assert call(capsys, *command, "--trials", "3") == Path("runs/tune.md").read_text().split("\n")[:-1]
    rows = list(csv.DictReader(Path("runs/tune.csv").read_text().splitlines()))
    assert sorted(row["trial"] for row in rows) == ["0", "1", "2"]
    assert len({row["train.lr"] for row in rows}) == 3  # a continued search tries other values
    scores = [float(row["bleu"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    for row in rows:
        config = json.loads(Path("runs", f"trial-{row['trial']}", "config.json").read_text())["config"]
        assert config["train"]["lr"] == pytest.approx(float(row["train.lr"]), rel=1e-3)
        assert 1e-4 <= config["train"]["lr"] <= 1e-2
        assert (
            config["decoder"]["hidden_dim"] == int(row["decoder.hidden_dim"])
            and 8 <= config["decoder"]["hidden_dim"] <= 16
        )
        assert config["attention"]["score"] == row["attention"]


def test_a_search_over_something_else_needs_another_folder_and_the_best_flags_can_be_typed(capsys):
    command = ["translation", "tune", "tiny", "--space", "decoder.context_gate=true", "--space", "attention=dot", *TINY]
    run.main([*command, "--trials", "1", "--run", "runs"])
    assert "best: --decoder.context-gate --attention.score dot (" in capsys.readouterr().err
    other = ["translation", "tune", "tiny", "--space", "decoder.context_gate=true,false", "--run", "runs", *TINY]
    assert "a search over decoder.context_gate=true attention=dot" in refused(capsys, *other)
    assert "true and false" in refused(
        capsys, "translation", "tune", "tiny", "--space", "decoder.context_gate=0", *TINY
    )


def test_a_search_skips_trials_whose_sizes_do_not_go_together(capsys, monkeypatch):
    monkeypatch.setattr(tune, "MAX_FAILED_TRIALS", 3)
    command = ["tune", "tiny", "--space", "attention.num_heads=3,2", "--run", "runs", *TINY, "--trials", "1"]
    call(capsys, *command)
    (row,) = csv.DictReader(Path("runs/tune.csv").read_text().splitlines())
    assert row["attention.num_heads"] == "2"
    with pytest.raises(SystemExit) as exit:
        run.main(["translation", "tune", "tiny", "--space", "attention.num_heads=3,5", "--trials", "2", *TINY])
    assert exit.value.code == 2
    first, second, *_, last = capsys.readouterr().err.strip().split("\n")
    assert second.startswith("trial 0: --attention.num-heads is")
    assert first.startswith("trial 0: attention.num_heads=") and last.startswith("error: none of 3 trials")


def test_a_run_folder_whose_name_is_not_utf8_is_refused():
    with pytest.raises(UsageError, match=r"--run .*not UTF-8"):  # printed, it would break the capturing of output
        parse_train("translation", choose_preset("translation", ["tiny", "--run", "caf\udce9"]))


def test_the_demo_prints_a_table_and_plots_a_gallery(capsys, monkeypatch):
    monkeypatch.setattr(
        side_by_side, "count_cores", lambda: 1
    )  # others would not see the small toy world of these tests
    run.main(["demo", "--preset", "tiny"])  # a named place is that of the next test
    out = capsys.readouterr().out
    assert re.search(r"translation.*\b24\b.*bleu \d", out) and "image_captioning" in out and "cider" in out
    assert "translation" in Path("runs/demo/demo.md").read_text()
    gallery = Path("runs/demo/gallery")
    assert all(is_image(gallery / f"{task}-{number}.png") for task in TOY_TASKS for number in (1, 2, 3))
    inputs = ("image_captioning-1-input.png", "speech_recognition-2-input.flac", "video_to_text-3-input.mp4")
    assert all((gallery / name).is_file() for name in inputs)
    assert is_image(gallery / "one scene.png")


def test_the_demo_of_a_joint_model_has_the_same_gallery(capsys):
    run.main(["demo", "--preset", "tiny", "--joint", "--run", "runs/together"])
    out = capsys.readouterr().out
    assert all(re.search(rf"{task}.*\d min", out) for task in TOY_TASKS)
    gallery = Path("runs/together/gallery")
    assert all(is_image(gallery / f"{task}-3.png") for task in TOY_TASKS) and is_image(gallery / "one scene.png")
    assert {folder.name for folder in Path("runs/together").iterdir()} == {"demo.md", "gallery", "joint"}


MISTAKES = [  # arguments, where T is translation, RUN and NONE are trained runs, and words of the error message
    ("translatoin train", ["task", "did you mean 'translation'"]),
    ("demo --preset tinny", ["preset", "did you mean 'tiny'"]),
    ("T trian", ["command", "'trian'", "did you mean 'train'"]),
    ("T", ["needs a command", "train, evaluate, predict, compare, tune"]),
    ("T train tinny", ["preset", "did you mean 'tiny'"]),
    ("T train tiny --train.epochz 1", ["--train.epochz", "--train.epochs"]),
    ("T train tiny --train.epochs many", ["--train.epochs", "'many'"]),
    ("T train tiny --attention.score genral", ["'genral'", "--attention.score", "general"]),
    ("T train tiny --train.lr -1", ["--train.lr is -1", "above 0"]),
    ("T train tiny --attention.num-heads 0", ["--attention.num-heads is 0"]),
    ("T train tiny --encoder.num-layers 0 --train.epochs 1", ["--encoder.num-layers is 0"]),
    ("T train tiny --decoder.embedding-dim -1", ["--decoder.embedding-dim is -1"]),
    ("T train tiny --vocabulary.min-frequency -1", ["--vocabulary.min-frequency"]),
    ("T train tiny --resume --run new", ["--resume", "no run in new", "--run"]),
    ("T train tiny --run RUN", ["holds a run already", "--resume", "--run"]),
    ("T train tiny --run RUN/config.json", ["config.json", "folder"]),
    ("T evaluate nowhere", ["no run in nowhere", "train"]),
    ("T evaluate RUN --split tset", ["split", "did you mean 'test'"]),
    ("T evaluate RUN --baseline nowhere", ["nowhere", "evaluate that run"]),
    ("T predict", ["predict needs a run folder"]),
    ("T predict RUN", ["there are no inputs", "standard input"]),
    ("T predict RUN x --n-best 3 --beam 2", ["--n-best is 3", "between 1 and the beam, 2"]),
    ("T predict RUN x --length-penalty nan", ["length-penalty"]),
    ("T predict NONE eine --coverage-penalty 1", ["coverage-penalty"]),
    ("T predict NONE x --plot-dir plots", ["--plot-dir", "no alignment"]),
    (
        "T train tiny --encoder.max-source-tokens 400",
        ["--encoder.max-source-tokens is 400", "--batch.max-source-length"],
    ),
    ("T train tiny --decoder.kind recurent", ["decoder.kind", "did you mean 'recurrent'"]),
    ("T train tiny --encoder.kind lstm", ["encoder.kind 'lstm'", "recurrent, transformer, convolutional"]),
    (
        "T train tiny --decoder.kind transducer --decoder.ctc-weight 0.3",
        ["--decoder.ctc-weight", "recurrent, transformer", "is transducer"],
    ),
    ("T train tiny --decoder.kind s2vt --decoder.num-layers 2", ["--decoder.num-layers", "recurrent", "is s2vt"]),
    (
        "T train tiny --decoder.kind ctc --attention.score dot",
        ["--attention.score", "--decoder.kind ctc", "no attention"],
    ),
    ("T train tiny --decoder.num-heads 2", ["--decoder.num-heads", "transformer", "is recurrent"]),
    ("T train tiny --encoder.kind transformer --encoder.cell gru", ["--encoder.cell", "recurrent", "is transformer"]),
    (
        "T train tiny --attention.window-size 3",
        ["--attention.window-size has no effect", "--attention.locality is global"],
    ),
    ("T train tiny --attention.gumbel-temperature 2", ["--attention.gumbel-temperature has no effect", "soft"]),
    (
        "T train tiny --train.sampling-half 2",
        ["--train.sampling-half has no effect", "--train.scheduled-sampling is none"],
    ),
    ("T train tiny --train.encoder-lr 0.1", ["--train.encoder-lr has no effect"]),
    ("image_captioning train flickr8k --augment.flip", ["--augment.flip has no effect", "--train.encoder-lr is 0"]),
    ("video_to_text train msrvtt --augment.stutter 0.1", ["--augment.stutter has no effect", "encoder-lr is 0"]),
    (
        "speech_recognition train tiny --encoder.pretrained x --augment.speeds 0.9 1.0",
        ["--augment.speeds has no effect", "--encoder.pretrained is frozen", "--train.encoder-lr is 0"],
    ),
    ("T train tiny --decoder.kind ctc --train.label-smoothing 0.2", ["--train.label-smoothing has no effect", "ctc"]),
    ("T train tiny --search.top-k 3", ["--search.top-k has no effect", "--search.sample"]),
    ("T predict RUN x --temperature 0.5", ["--temperature has no effect", "--sample"]),
    ("T predict RUN x --form rhyme", ["--form"]),
    ("T train tiny --attention.num-heads 3", ["--attention.num-heads is 3", "64"]),
    ("T train tiny --decoder.kind transformer --decoder.num-heads 3", ["--decoder.num-heads is 3", "divisor", "64"]),
    ("T train tiny --encoder.kind transformer --encoder.num-heads 3", ["--encoder.num-heads is 3", "divisor", "32"]),
    ("T compare tiny", ["--vary is missing"]),
    ("T compare tiny --vary attention", ["--vary attention:", "SETTING=VALUE"]),
    ("T compare tiny --vary attention=dot,none --attention.window-size 3", ["--attention.window-size", "any variant"]),
    ("T compare tiny --vary attention=none=dot", ["--vary attention=none=dot"]),
    ("T compare tiny --vary attenton=none", ["'attenton'", "did you mean 'attention'"]),
    ("T compare tiny --vary attention=none,nine", ["'nine'", "--attention.score"]),
    *((f"T compare --vary attention=none --seeds {seeds}", ["--seeds"]) for seeds in ("1,x", "-1", "1,", "1.5", "²")),
    ("T compare tiny --vary attention=none --split tset", ["split", "did you mean 'test'"]),
    ("T tune tiny", ["--space is missing"]),
    ("T tune tiny --space train.lr", ["--space train.lr", "SETTING=LOW..HIGH"]),
    ("T tune tiny --space train.lr=1e-2..1e-4", ["--space train.lr=1e-2..1e-4", "larger"]),
    ("T tune tiny --space train.lr=a..b", ["--space train.lr=a..b", "numbers"]),
    ("T tune tiny --space train.lr=1,,2", ["empty value"]),
    ("T tune tiny --space trian.lr=1,2", ["'trian.lr'", "did you mean 'train'"]),
    ("T tune tiny --space decoder.num_head=1,2", ["unknown decoder setting 'num_head'", "did you mean 'num_heads'"]),
    ("T tune tiny --space decoder.num_heads=1,2", ["--decoder.num-heads", "transformer", "is recurrent"]),
    ("T tune tiny --space attention.window_size=1..2", ["--attention.window-size has no effect", "is global"]),
    ("T tune tiny --space train.lr=1..2 --search.top-k 3", ["--search.top-k has no effect"]),
    ("T compare tiny --vary attention.window_size=3,5", ["--attention.window-size has no effect", "is global"]),
    ("T compare tiny --vary decoder.num_heads=2,4", ["--decoder.num-heads", "transformer", "is recurrent"]),
    ("T compare tiny --vary decoder=recurrent,s2vt --decoder.num-heads 2", ["--decoder.num-heads", "transformer"]),
    ("T compare tiny --vary decoder=ctc,s2vt --attention.score dot", ["--attention.score has no effect"]),
    ("T compare tiny --vary train.seed=1,2", ["--train.seed", "--seeds"]),
    ("T compare tiny --vary attention=none,dot --train.seed 2", ["--train.seed", "--seeds"]),
    ("T train tiny --resume --run RUN --init-from RUN", ["--resume", "--init-from", "leave one"]),
    (
        "T train tiny --resume --run RUN --train.lr 1",
        ["--resume: --train.lr would make it another run", "only --train.epochs"],
    ),
    ("T train tiny --run new --init-from nowhere", ["no run in nowhere"]),
    ("T train tiny --run new --init-from RUN --decoder.num-heads 2", ["transformer", "is recurrent"]),
    *(
        (f"T train tiny --run new --init-from RUN {flag}", [flag.split()[0], "with --init-from", "leave it out"])
        for flag in ("--vocabulary.size 300", "--vocabulary.shared", "--vocabulary.kind character", "--train.init he")
    ),
    ("T train tiny --decoder.kindd ctc", ["recurrent,transformer,ctc,transducer,transducer_attention,s2vt"]),
    ("T train tiny --source de --target de", ["--source and --target are both 'de'"]),
    ("dialogue train tiny --context-turns 0", ["--context-turns is 0"]),
    ("dialogue train tiny --turns-column x", ["--turns-column has no effect: --data is not set"]),
    ("T evaluate RUN --n-best 2", ["--n-best has no effect"]),
    ("T evaluate RUN --rerank-weight 0.2", ["--rerank-weight has no effect: --rerank is not set"]),
    ("T predict RUN x --rerank-weight 0.2", ["--rerank-weight has no effect: --rerank is not set"]),
    ("T predict RUN x --seed 2", ["--seed has no effect: --sample is not set"]),
    ("T predict RUN x --format srt --scores", ["--scores has no effect: --format is srt"]),
    ("T predict RUN x --format vtt --n-best 2", ["--n-best has no effect: --format is vtt"]),
    ("T predict RUN x --format tsv --n-best 2", ["--n-best has no effect: --format is tsv"]),
    ("T predict RUN x --format srt --words", ["--words has no effect: --format is srt"]),
    ("T predict RUN eine --format srt", ["--format srt makes the subtitles of one recording", "--output-dir"]),
    ("T predict RUN x --words", ["--words: this run has no times of words"]),
    ("T predict RUN x --ensemble nowhere", ["--ensemble: there is no run in nowhere"]),
    ("T predict RUN x --ensemble NONE nowhere", ["--ensemble: there is no run in nowhere"]),
    ("T predict RUN x --rerank RUN --rerank-weight nan", ["--rerank-weight is nan", "0 to 1"]),
    ("T train tiny --encoder.dropout nan", ["--encoder.dropout is nan", "at least 0 and below 1"]),
    ("T train tiny --decoder.kind ctc --decoder.dropout 1", ["--decoder.dropout is 1.0", "below 1"]),
    (
        "T train tiny --train.epochs 2 --train.max-minutes 1",
        ["--train.epochs has no effect", "--train.max-minutes is 1"],
    ),
    ("T train tiny --train.num-workers 5000", ["--train.num-workers is 5000", "number of cores"]),
    (
        "T train tiny --resume --run RUN --attention.score dot",
        ["--resume: --attention.score would make it another run"],
    ),
    ("T predict RUN x --rerank nowhere", ["--rerank: there is no run in nowhere"]),
    ("T predict CTC x --ensemble RUN", ["--ensemble needs", "--decoder.kind recurrent"]),
]


@pytest.mark.parametrize("typed, words", MISTAKES, ids=[typed for typed, _ in MISTAKES])
def test_a_mistake_is_one_line_that_names_it(typed, words, train, capsys):
    names = {
        "T": lambda: "translation",
        "RUN": train,
        "NONE": lambda: train("--attention.score", "none"),
        "CTC": lambda: train("--decoder.kind", "ctc"),
    }
    line = refused(capsys, *re.sub(r"\b(T|RUN|NONE|CTC)\b", lambda name: names[name[0]](), typed).split())
    assert [word for word in words if word not in line] == []


def test_a_run_is_initialized_from_another_with_its_configuration(train, capsys):
    transformer = train("--decoder.kind", "transformer", "--decoder.num-heads", "4")
    command = ["train", "tiny", "--init-from", transformer, "--decoder.num-heads", "2", "--vocabulary.size", "400"]
    call(capsys, *command, "--train.epochs", "1", "--run", "second")
    config = json.loads(Path("second/config.json").read_text())["config"]
    assert (config["decoder"]["kind"], config["decoder"]["num_heads"]) == ("transformer", 2)
    assert config["search"]["max_length"] == 12


def test_a_run_with_a_pretrained_encoder_can_be_fine_tuned(monkeypatch):
    pretrained = dataclasses.replace(IMAGE_PRESETS["tiny"](), data="folder")
    pretrained = dataclasses.replace(pretrained, encoder=dataclasses.replace(pretrained.encoder, pretrained="some"))
    monkeypatch.setattr(train_options, "load_config", lambda task, folder: pretrained)
    flags = ["--init-from", "first", "--train.encoder-lr", "3e-5"]
    options, folder = parse_train("image_captioning", choose_preset("image_captioning", flags))
    assert (options.config.train.encoder_lr, options.config.encoder.pretrained) == (3e-5, "some")
    assert folder == Path("runs/image_captioning-demo")


def test_features_are_those_of_the_run_that_initializes_another(monkeypatch):
    monkeypatch.setattr(train_options, "load_config", lambda task, folder: SPEECH_PRESETS["tiny"]())
    for flag in ("--features.normalization=global", "--features.num-mels=40"):
        with pytest.raises(UsageError, match=f"{flag.partition('=')[0]}: with --init-from"):
            parse_train("speech_recognition", choose_preset("speech_recognition", ["--init-from", "first", flag]))


def test_help_lists_all_kinds(capsys):
    with pytest.raises(SystemExit):
        run.main(["image_captioning", "train", "--init-from", "nowhere", "--help"])
    assert "--encoder.kind {none,recurrent,transformer,convolutional}" in capsys.readouterr().out


def test_kinds_are_compared_with_flags_that_only_some_of_them_have():
    vary = ["--vary", "decoder=recurrent,transformer,ctc", "--decoder.num-heads", "8", "--attention.score", "dot"]
    _, variants = parse_compare("translation", choose_preset("translation", ["tiny", *vary]))
    recurrent, transformer, ctc = variants.values()
    assert isinstance(transformer.decoder, TransformerDecoderConfig) and transformer.decoder.num_heads == 8
    assert (recurrent.decoder.kind, ctc.decoder.kind) == ("recurrent", "ctc")
    assert recurrent.attention is not None and recurrent.attention.score == "dot" and ctc.attention is None


def test_kinds_are_compared_together_with_their_settings():
    vary = ["--vary", "decoder.kind=recurrent,transformer", "--vary", "decoder.num_heads=2,4"]
    _, variants = parse_compare("translation", choose_preset("translation", ["tiny", *vary]))
    assert [*variants] == [
        "decoder.kind=recurrent decoder.num_heads=2",  # the same as with 4, which is left out
        "decoder.kind=transformer decoder.num_heads=2",
        "decoder.kind=transformer decoder.num_heads=4",
    ]


def test_a_search_may_have_settings_that_only_some_trials_use():
    space = ["attention.locality=global,local_m", "attention.window_size=2..10", "decoder=recurrent,transformer"]
    space += ["decoder.num_heads=2,4"]
    flags = [flag for each in space for flag in ("--space", each)]
    parser, _ = parse_tune("translation", choose_preset("translation", ["tiny", *flags]))
    parsed = parser.parse(("attention.locality=global", "attention.window_size=3", "decoder.num_heads=2"))[0]
    assert (parsed.config.attention.locality, parsed.config.decoder.kind) == ("global", "recurrent")
    parsed = parser.parse(("decoder=transformer", "decoder.num_heads=2"))[0]
    assert (parsed.config.decoder.kind, parsed.config.decoder.num_heads) == ("transformer", 2)


@pytest.mark.parametrize("flag, reason", [("--n-best=2", "the best reply"), ("--seed=2", "--sample is not set")])
def test_chat_refuses_flags_without_effect(flag, reason):
    with pytest.raises(UsageError, match=f"has no effect: {reason}"):
        parse(ChatOptions, [flag], "chat", ChatOptions(SearchConfig()))
    parse(ChatOptions, [flag, "--sample"], "chat", ChatOptions(SearchConfig()))


def config(task: str = "translation", **settings) -> str:
    return json.dumps({"task": task, "config": settings})


DAMAGES: dict[
    str, tuple[str, Any, list[str]]
] = {  # of a run: a file, its new content (None: it is deleted), and words of the error message
    "unknown kind": ("config.json", config(decoder={"kind": "recurent"}), ["config.json", "'recurent'"]),
    "other task": ("config.json", config("speech_recognition"), ["'speech_recognition'", "'translation'"]),
    "unknown setting": ("config.json", config(train={"colour": "red"}), ["config.json", "'colour'"]),
    "impossible setting": ("config.json", config(train={"epochs": 0}), ["config.json", "--train.epochs is 0"]),
    "setting of another type": (
        "config.json",
        config(decoder={"kind": "recurrent", "hidden_dim": "wide"}),
        ["config.json"],
    ),
    "setting that is not a choice": (
        "config.json",
        config(decoder={"kind": "recurrent", "cell": "gruu"}),
        ["config.json"],
    ),
    "list for a config": ("config.json", "[]", ["config.json"]),
    "half a config": ("config.json", "{", ["config.json"]),
    "no config": ("config.json", None, ["config.json is missing"]),
    "empty vocabulary": ("vocabulary.json", "{}", ["vocabulary.json"]),
    "vocabulary without entries": ("vocabulary.json", '{"target": {}}', ["vocabulary.json"]),
    "half a vocabulary": ("vocabulary.json", '{"target', ["vocabulary.json"]),
    "no vocabulary": ("vocabulary.json", None, ["vocabulary.json is missing"]),
    "truncated weights": ("best.safetensors", lambda own, other: own[:5000], ["best.safetensors"]),
    "other weights": ("best.safetensors", lambda own, other: other, ["best.safetensors", "config.json", "attention"]),
    "no weights": ("best.safetensors", None, ["best.safetensors is missing"]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_one_line_that_names_the_file(damage, train, capsys):
    name, content, words = DAMAGES[damage]
    file = Path(shutil.copytree(train(), "copy"), name)
    if callable(content):
        damaged: Any = content(file.read_bytes(), Path(train("--attention.score", "none"), name).read_bytes())
        file.write_bytes(damaged)
    else:
        file.unlink() if content is None else file.write_text(content)
    line = refused(capsys, "translation", "predict", "copy", "x")
    assert [word for word in words if word not in line] == []
