"""Joint models: one decoder for several tasks, whose batches, scores, files and inputs stay apart."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from encoders.base import Encoder, SourceBatch
from tasks import run
from tasks.common.data.batching import BatchSampler
from tasks.common.data.config import BatchConfig
from tasks.common.data.mixing import BatchMixer
from tasks.common.errors import UsageError
from tasks.common.inference.input_kinds import find_part, kinds_of_input
from tasks.common.run_config import load_config
from tasks.common.training import processes, validation
from tasks.common.training.trainer import Trainer
from tasks.joint import PRESETS
from tasks.joint.config import TASKS, JointConfig, class_of_parts, describe_settings, join
from tasks.joint.overlap import sentences_of, without_sentences
from tasks.joint.presets import compose
from tasks.joint.task import JointTask, check_language, references_of
from tasks.translation import PRESETS as TRANSLATION_PRESETS
from tasks.translation.task import Translation as Task

ROOT = Path(__file__).parents[3]
SMALL = ["--image-captioning.num-scenes", "48", "--train.epochs", "1"]
NAME = "translation:tiny+image_captioning:tiny"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> str:
    """Parallel files with the beginning of the toy world."""
    folder = tmp_path_factory.mktemp("data")
    save_text_pairs(folder, train=200, validation=30, test=12)
    return str(folder)


@pytest.fixture(scope="module")
def joint_run(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "joint"
    run.main(["joint", "train", NAME, "--translation.data", data, "--run", str(folder), *SMALL])
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run.main(["joint", *arguments])
    assert exit.value.code == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error: ")]
    return line


# ── Batches ─────────────────────────────────────────────────────────────────────────────────────────────────


def mixer(shares: dict[str, float], step_size: int = 1, seed: int = 1) -> BatchMixer:
    sizes = BatchConfig(max_sources=4)
    samplers = {
        name: BatchSampler([(3, 3)] * count, sizes, seed, step_size=step_size)
        for name, count in (("large", 80), ("little", 8))
    }
    return BatchMixer(samplers, shares, seed=seed, step_size=step_size)


def test_datasets_have_their_shares_of_an_epoch_whatever_their_sizes_in_whole_steps():
    batches = mixer({"large": 0.75, "little": 0.25}, step_size=2).epoch(0)
    names = [name for name, _ in batches]
    assert (len(batches), names.count("little")) == (22, 6)  # a quarter of 20 + 2 batches, in steps of two
    assert all(names[step] == names[step + 1] for step in range(0, len(names), 2))
    assert names != sorted(names)


def test_the_batches_of_a_step_of_mixed_datasets_are_of_similar_lengths_in_every_epoch():
    lengths = [(length, length) for length in range(1, 101)]  # 25 batches of four, which are no whole steps
    samplers = {name: BatchSampler(lengths, BatchConfig(max_sources=4), 1, step_size=2) for name in ("one", "other")}
    mixed = BatchMixer(samplers, {"one": 0.5, "other": 0.5}, seed=1, step_size=2)
    for number in range(4):
        longest = torch.tensor([max(rows) for _, rows in mixed.epoch(number)]).view(-1, 2)
        assert (longest[:, 1] - longest[:, 0]).abs().max() <= 12  # two batches without the one between them


def test_a_dataset_with_a_smaller_share_goes_through_all_its_batches_in_several_epochs():
    mixed = mixer({"large": 0.5, "little": 0.5})
    rows = [[row for name, own in mixed.epoch(number) if name == "large" for row in own] for number in range(2)]
    assert [len(own) for own in rows] == [44, 44]  # of 80, so eight are repeated
    assert {*rows[0], *rows[1]} == set(range(80))


def test_the_order_of_mixed_batches_depends_on_the_seed_and_the_epoch_alone():
    shares = {"large": 0.75, "little": 0.25}
    assert [*mixer(shares).epoch(3)] == [*mixer(shares).epoch(3)] != [*mixer(shares).epoch(4)]
    assert [*mixer(shares, seed=2).epoch(3)] != [*mixer(shares).epoch(3)]


def test_the_temperature_makes_shares_more_equal_and_weights_replace_it():
    config = compose(NAME)

    def shares(**changes: object) -> list[float]:
        task = JointTask(dataclasses.replace(config, **changes))
        return [*task.shares({"translation": 64, "image_captioning": 16}).values()]

    assert shares(temperature=1.0) == [0.8, 0.2]
    assert shares(temperature=2.0) == pytest.approx([2 / 3, 1 / 3])
    assert shares(weights=(1.0, 3.0)) == [0.25, 0.75]


# ── A run ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_joint_run_has_one_decoder_and_logs_each_task(joint_run: Path):
    config = load_config("joint", joint_run)
    assert isinstance(config, JointConfig) and list(config.parts) == ["translation", "image_captioning"]
    weights = load_file(joint_run / "best.safetensors")
    encoders = {name.split(".")[1] for name in weights if name.startswith("encoders.")}
    assert encoders == set(config.parts) and any(name.startswith("decoder.") for name in weights)
    (line,) = map(json.loads, (joint_run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert set(line["losses"]) == set(config.parts)
    scores = line["validation"]
    points = [scores["translation bleu"], scores["image_captioning exact_match"]]
    assert scores["mean score"] == pytest.approx(sum(points) / 2)
    assert scores["nll"] == pytest.approx((scores["translation nll"] + scores["image_captioning nll"]) / 2)
    assert all((joint_run / name / "domain.json").is_file() for name in config.parts)


def test_each_task_is_evaluated_or_the_one_that_is_named(joint_run: Path, data: str, capsys):
    run.main(["joint", "evaluate", str(joint_run), "--beam", "1"])
    output = capsys.readouterr().out
    assert "translation:" in output and "image_captioning:" in output
    reports = [
        json.loads((joint_run / name / "evaluation" / "test-beam1.json").read_text(encoding="utf-8"))
        for name in ("translation", "image_captioning")
    ]
    mean = sum(report["points"] for report in reports) / 2
    assert f"mean score of the tasks {mean:.2f}" in output
    run.main(["joint", "evaluate", str(joint_run), "--beam", "1", "--task", "translation", "--data", data])
    output = capsys.readouterr().out
    assert "translation:" in output and "image_captioning:" not in output and "mean score" not in output
    assert "--data is that of one task" in refused(capsys, "evaluate", str(joint_run), "--data", data)
    assert "--skip-invalid is that of one task" in refused(capsys, "evaluate", str(joint_run), "--skip-invalid")
    assert "translation" in refused(capsys, "evaluate", str(joint_run), "--task", "translatoin")
    assert "--rerank needs" in refused(capsys, "evaluate", str(joint_run), "--rerank", str(joint_run))


def test_inputs_of_several_kinds_keep_their_order(joint_run: Path, tmp_path: Path, capsys):
    image = tmp_path / "scene.png"
    Image.new("RGB", (64, 64), "red").save(image)
    texts = ["eine rote Sieben über einer blauen Zwei", "hier ist eine Vier"]
    run.main(["joint", "predict", str(joint_run), texts[0], str(image), texts[1], "--scores"])
    mixed = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in mixed] == ["1", "2", "3"]
    run.main(["joint", "predict", str(joint_run), *texts, "--scores"])
    alone = capsys.readouterr().out.splitlines()
    assert [mixed[0], mixed[2]] == [alone[0], alone[1].replace("2", "3", 1)]
    run.main(["joint", "predict", str(joint_run), str(image), ""])
    assert "input 2 is empty" in capsys.readouterr().err
    sound = str(tmp_path / "x.wav")
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(["joint", "predict", str(joint_run), texts[0], sound, str(image), "--scores"])
    out, err = capsys.readouterr()
    lines = out.split("\n")[:-1]
    assert lines[1] == "" and [lines[0], lines[2].replace("3", "2", 1)] == [mixed[0], mixed[1]]
    assert f"{sound} is audio, which no task of this run reads; allowed are text, image; its line stays empty" in err
    with pytest.raises(SystemExit, match=r"^2$"):
        run.main(["joint", "predict", str(joint_run), sound])
    assert capsys.readouterr().out == "\n"


def test_a_task_becomes_a_run_of_its_own_with_the_same_outputs(joint_run: Path, tmp_path: Path, capsys):
    own = tmp_path / "own"
    run.main(["joint", "extract", str(joint_run), "--task", "translation", "--run", str(own)])
    capsys.readouterr()
    sentence = "eine rote Sieben über einer blauen Zwei"
    run.main(["joint", "predict", str(joint_run), sentence, "--scores"])
    expected = capsys.readouterr().out
    run.main(["translation", "predict", str(own), sentence, "--scores"])
    assert capsys.readouterr().out == expected
    assert (own / "domain.json").is_file()
    weights = (own / "best.safetensors").read_bytes()
    with pytest.raises(SystemExit):  # there is no state of its training
        run.main(["translation", "train", "--run", str(own), "--resume"])
    assert f"start a new run with its weights: --init-from {own}" in capsys.readouterr().err
    assert (own / "best.safetensors").read_bytes() == weights
    assert "exists already" in refused(capsys, "extract", str(joint_run), "--task", "translation", "--run", str(own))


def test_a_joint_model_begins_with_the_encoders_of_single_runs(joint_run: Path, data: str, tmp_path: Path, capsys):
    own, second = tmp_path / "own", tmp_path / "second"
    run.main(["joint", "extract", str(joint_run), "--task", "translation", "--run", str(own)])
    common = ["joint", "train", NAME, "--translation.data", data, *SMALL, "--run", str(second)]
    run.main([*common, "--init-from", str(own), "--train.lr", "1e-12"])
    before, after = load_file(joint_run / "best.safetensors"), load_file(second / "best.safetensors")
    kept = [name for name in before if name.startswith("encoders.translation.")]
    assert kept and all(torch.allclose(before[name], after[name], atol=1e-6) for name in kept)
    assert not torch.allclose(before["decoder.embedding.weight"], after["decoder.embedding.weight"], atol=1e-3)
    other = ["train", NAME, "--run", str(tmp_path / "third"), "--translation.encoder.embedding-dim", "16"]
    assert "another encoder than translation here" in refused(capsys, *other, "--init-from", str(own))
    twice = ["train", NAME, "--run", str(tmp_path / "third"), "--init-from", f"{own},{own}"]
    assert "are both runs of translation" in refused(capsys, *twice)


def test_a_run_with_one_vocabulary_gives_its_encoder_that_of_its_sources(data: str, tmp_path: Path):
    own, joint = tmp_path / "own", tmp_path / "joint"
    flags = ["--run", str(own), "--data", data, "--vocabulary.shared", "--train.epochs", "1"]
    run.main(["translation", "train", "tiny", *flags])
    run.main(["joint", "train", NAME, "--translation.data", data, *SMALL, "--run", str(joint), "--init-from", str(own)])
    single, several = (json.loads((folder / "vocabulary.json").read_text(encoding="utf-8")) for folder in (own, joint))
    assert several["sources"]["translation"]["source"] == single["target"] != several["target"]


def test_a_run_that_begins_with_others_keeps_their_encoders_if_it_is_killed_at_once(
    joint_run: Path, data: str, tmp_path: Path, monkeypatch
):
    own, stopped, whole = tmp_path / "own", tmp_path / "stopped", tmp_path / "whole"
    run.main(["joint", "extract", str(joint_run), "--task", "translation", "--run", str(own)])
    flags = [NAME, "--translation.data", data, *SMALL, "--init-from", str(own)]
    run.main(["joint", "train", *flags, "--run", str(whole)])
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(Trainer, "run", interrupt)
        run.main(["joint", "train", *flags, "--run", str(stopped)])
    shutil.rmtree(own)
    run.main(["joint", "train", "--run", str(stopped), "--resume"])
    before, after = load_file(whole / "best.safetensors"), load_file(stopped / "best.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def interrupt(_: Trainer) -> None:
    raise KeyboardInterrupt


def test_a_task_alone_is_scored_as_one_of_several(data: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(validation, "is_above_chance", lambda *_: True)
    flags = ["--translation.data", data, "--train.epochs", "1", "--run", str(tmp_path)]
    run.main(["joint", "train", "translation:tiny", *flags])
    scores = json.loads((tmp_path / "metrics.jsonl").read_text(encoding="utf-8"))["validation"]
    assert scores["mean score"] == scores["translation bleu"]


def test_two_processes_train_and_evaluate_like_one(
    data: str, tmp_path: Path, monkeypatch, run_in_two_processes: Callable[..., str]
):
    one, two = tmp_path / "one", tmp_path / "two"
    command = ["joint", "train", NAME, "--translation.data", data, *SMALL, "--run"]
    monkeypatch.setattr(processes, "find_device", lambda _: torch.device("cpu"))
    run.main([*command, str(one), "--train.grad-accum-steps", "2"])
    assert "2 x cpu" in run_in_two_processes(*command, str(two))
    before, after = load_file(one / "best.safetensors"), load_file(two / "best.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], rtol=0.0, atol=1e-5) for name in before)
    alone, together = (json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8")) for folder in (one, two))
    assert alone["validation"] == pytest.approx(together["validation"], rel=1e-5)
    assert alone["losses"] == pytest.approx(together["losses"], rel=1e-5)


def test_a_stopped_joint_run_goes_on_as_if_it_had_not_been(joint_run: Path, data: str, tmp_path: Path, monkeypatch):
    stopped, steps = tmp_path / "stopped", []
    update = Trainer.update_parameters

    def interrupt(trainer: Trainer, loss: Tensor) -> tuple[Tensor, Tensor]:
        steps.append(trainer.progress.step)
        if len(steps) == 3:
            trainer.save()
            raise KeyboardInterrupt
        return update(trainer, loss)

    monkeypatch.setattr(Trainer, "update_parameters", interrupt)
    with pytest.raises(SystemExit):
        run.main(["joint", "train", NAME, "--translation.data", data, "--run", str(stopped), *SMALL])
    monkeypatch.undo()
    shutil.copy(joint_run / "config.json", stopped / "config.json")
    run.main(["joint", "train", "--run", str(stopped), "--resume"])
    before, after = load_file(joint_run / "best.safetensors"), load_file(stopped / "best.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_variants_of_a_joint_model_are_compared_by_task(data: str, tmp_path: Path, capsys):
    folder = tmp_path / "compared"
    flags = ["--translation.data", data, "--run", str(folder), *SMALL]
    run.main(["joint", "compare", NAME, "--vary", "temperature=1.0,5.0", *flags])
    output = capsys.readouterr().out
    assert output.count("temperature=5.0") == 2 and "translation:" in output
    assert (folder / "image_captioning" / "compare.md").is_file()


# ── Mistakes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_mistakes_are_one_line(joint_run: Path, data: str, tmp_path: Path, capsys):
    common = ["--run", str(tmp_path / "new")]
    assert "names translation twice" in refused(capsys, "train", "translation:tiny+translation:demo", *common)
    assert "expected TASK:PRESET" in refused(capsys, "train", "translation:tiny+x", *common)
    assert "translation" in refused(capsys, "train", "translatoin:tiny", *common)
    assert "preset of translation" in refused(capsys, "train", "translation:tini", *common)
    assert "--weights is (1.0,)" in refused(capsys, "train", NAME, "--weights", "1", *common)
    assert "--weights is (1.0, nan)" in refused(capsys, "train", NAME, "--weights", "1", "nan", *common)
    nowhere = refused(capsys, "train", NAME, "--translation.data", str(tmp_path / "nowhere"), *common)
    assert nowhere.startswith("error: translation: ")
    long = ["--translation.encoder.max-source-tokens", "300"]
    line = refused(capsys, "train", NAME, *long, *common)
    assert line.startswith("error: translation: --translation.encoder.max-source-tokens is 300")
    model = ["--image-captioning.encoder.pretrained", str(tmp_path / "nowhere")]
    line = refused(capsys, "train", NAME, *model, *common)
    assert line.startswith("error: image_captioning: --image-captioning.encoder.pretrained: ")
    broken = tmp_path / "broken"
    shutil.copytree(joint_run, broken)
    state = json.loads((broken / "vocabulary.json").read_text(encoding="utf-8"))
    del state["sources"]["translation"]
    (broken / "vocabulary.json").write_text(json.dumps(state), encoding="utf-8")
    assert "vocabulary.json is not this task's" in refused(capsys, "predict", str(broken), "x")
    saved = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    for config, message in ((saved["config"] | {"x": {}}, "unknown setting 'x'"), (None, "not the configuration")):
        (broken / "config.json").write_text(json.dumps(saved | {"config": config}), encoding="utf-8")
        assert message in refused(capsys, "predict", str(broken), "x")


def test_a_text_of_no_language_of_the_others_is_refused():
    check_language({"a": ["a red dog"], "b": [["a cat", "the dog"]]})
    with pytest.raises(UsageError, match=r"a: 0% of the words.*one language"):
        check_language({"a": ["a red dog"], "b": ["ein roter Hund"]})
    check_language({"a": ["一只红狗在房子里"], "b": ["一只猫在树下"]})  # without spaces between words


def test_training_sentences_that_are_references_of_others_are_left_out():
    references = sentences_of([["A red dog."], ["the cat", "one more"]])
    targets = [["a red dog", "x"], ["One more!"], ["y"]]
    own = [["A red dog.", "X", "x?"], ["One more!"], ["Y"]]
    examples = datasets.Dataset.from_dict({"source": [1, 2, 3], "target": targets, "references": own})
    kept, count = without_sentences(examples, references)
    assert (kept["source"][:], kept["target"][:], count) == ([1, 3], [["x"], ["y"]], 2)
    assert kept["references"][:] == [["X", "x?"], ["Y"]]  # which self-critical training rewards
    texts = datasets.Dataset.from_dict(
        {"source": [1, 2], "target": ["The cat", "y"], "references": [["The cat"], ["y"]]}
    )
    assert without_sentences(texts, references)[0]["target"][:] == ["y"]
    with pytest.raises(UsageError, match="leaves no training example"):
        without_sentences(texts.select([0]), references)


def test_references_may_lack_a_test_split_but_not_be_unreadable(data: str, tmp_path: Path):
    for file in Path(data).glob("[tv]*.*"):
        shutil.copy(file, tmp_path)
    task = Task(dataclasses.replace(TRANSLATION_PRESETS["tiny"](), data=str(tmp_path)))
    found = references_of(task)
    (tmp_path / "test.de").unlink()
    (tmp_path / "test.en").unlink()
    assert references_of(task) < found
    (tmp_path / "test.de").write_text("zwei\nZeilen\n")
    (tmp_path / "test.en").write_text("one line\n")
    with pytest.raises(UsageError, match="lines"):
        references_of(task)


def test_the_kind_of_an_input_is_that_of_its_name(tmp_path: Path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg")
    expected = {
        "ein roter Kreis": ["text"],
        "x.PNG": ["image"],
        "x.wav": ["audio"],
        "https://a.b/x.mp4?y=1": ["video"],
        "x.gif": ["image", "video"],
        str(tmp_path): ["image"],
        "-": ["text"],
        "x" * 5000: ["text"],
    }
    assert {argument: kinds_of_input(argument) for argument in expected} == expected


def test_an_input_that_several_tasks_read_needs_the_task():
    parts = JointTask(PRESETS["tiny"]()).parts
    assert find_part("x.wav", parts)[0] == "speech_recognition"
    part, problem = find_part("x.mp4", parts)
    assert part is None
    assert re.search(r"can be read by speech_recognition and by video_to_text: .*--task", problem)
    assert find_part("x.mp4", {"translation": parts["translation"]})[0] == "translation"


@pytest.mark.parametrize("name", PRESETS)
def test_the_parts_of_a_preset_share_the_settings_of_the_decoder(name: str):
    config = PRESETS[name]()
    for part in config.parts.values():
        assert (part.decoder, part.train, part.projection_dim) == (config.decoder, config.train, config.projection_dim)
    with pytest.raises(ValueError, match="projection_dim is 0"):
        join({}, projection_dim=0)


def test_a_projected_memory_keeps_all_but_its_features():
    task = JointTask(compose(NAME)).parts["translation"]
    examples = task.load("validation").select(range(4))
    task.fit(examples)
    encoder: Encoder = task.build_projected_encoder().eval()
    source: SourceBatch = task.collate_sources(examples["source"], training=False)
    memory = encoder(source)
    assert memory.states.shape[-1] == memory.summary.shape[-1] == encoder.dim == task.config.projection_dim
    assert torch.equal(memory.mask, source.mask) and memory.token_ids is not None
    assert memory.states.isfinite().all()


def test_the_settings_of_each_task_are_described_in_the_help(capsys):
    with pytest.raises(SystemExit):
        run.main(["joint", "train", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--image-captioning.num-scenes INT Training examples of the toy world" in text
    assert "--speech-recognition.text-column STR Column of the transcripts." in text
    for part in class_of_parts(TASKS).__dataclass_fields__.values():
        if part.name in TASKS:
            described = describe_settings(part.type)
            own = [field.name for field in dataclasses.fields(part.type) if not dataclasses.is_dataclass(field.type)]
            assert [name for name in own if name not in described] == []
