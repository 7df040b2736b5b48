"""Speech recognition as it is used: all forms of data, all decoders, invalid files, long recordings, subtitles."""

import csv
import dataclasses
import functools
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from datasets import Audio, Dataset
from matplotlib.image import imread

from encoders.config import RecurrentEncoderConfig
from encoders.pretrained.speech import WaveformFrames
from tasks import load as load_run
from tasks import run
from tasks.common.errors import UsageError
from tasks.common.inference.prediction import Prediction
from tasks.common.inference.trained_model import FIRST_CHUNK
from tasks.speech_recognition import extraction
from tasks.speech_recognition import task as speech_task
from tasks.speech_recognition.config import FeatureConfig, SpeechEncoderConfig
from tasks.speech_recognition.presets import tiny
from tasks.speech_recognition.task import SpeechRecognition as Task
from tasks.toy_world.speech import SPEAKERS, synthesize

RATE = 16_000
TEXTS = ["red seven", "red two", "white seven", "white two"]
SHORT = ["--num-scenes", "24", "--train.epochs", "1", "--search.max-length", "12"]


@pytest.fixture(scope="session")
def recordings() -> dict[str, np.ndarray]:
    return {text: synthesize(text, "gmw/en-US+m3") for text in TEXTS}


@pytest.fixture(autouse=True)
def _work_in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path, recordings) -> Path:
    """The audiofolder convention, in several formats."""
    data = tmp_path / "data"
    for split, ending in (("train", "wav"), ("val", "flac"), ("test", "ogg")):
        (data / split).mkdir(parents=True)
        rows = []
        for number, (text, samples) in enumerate(recordings.items()):
            soundfile.write(data / split / f"{number}.{ending}", samples, RATE)
            rows.append({"file_name": f"{number}.{ending}", "text": f"{text.title()}!"})
        (data / split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def load(split: str = "train", **changes) -> Dataset:
    return Task(tiny_config(**changes)).load(split)


def tiny_config(**changes):
    return dataclasses.replace(tiny(), **changes)


@pytest.fixture(scope="module")
def train(tmp_path_factory) -> Callable[..., str]:
    """Train a tiny run with some flags, once, and return its folder."""

    @functools.cache
    def make(*flags: str) -> str:
        folder = str(tmp_path_factory.mktemp("run"))
        run.main(["speech_recognition", "train", "tiny", "--run", folder, *SHORT, *flags])
        return folder

    return make


def call(capsys, *arguments: str) -> list[str]:
    capsys.readouterr()
    run.main(["speech_recognition", *arguments])
    return capsys.readouterr().out.split("\n")[:-1]


def error_of(capsys, *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run.main(["speech_recognition", *arguments])
    out, err = capsys.readouterr()
    assert (exit.value.code, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    return err


# ── Data ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_extraction_in_this_process_keeps_its_threads(folder):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert len(load(data=str(folder))) == len(TEXTS)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_audiofolder_is_read_with_normalized_transcripts(folder, recordings):
    for split in ("train", "validation", "test"):
        examples = load(split, data=str(folder))
        assert examples["target"] == TEXTS
        assert examples["references"] == [[text] for text in TEXTS]
        for length, samples in zip(examples["length"], recordings.values(), strict=True):
            assert length == pytest.approx(len(samples) / RATE * 100, abs=4)  # one is ogg
    assert load(data=str(folder), text_normalization="none")["target"] == [f"{text.title()}!" for text in TEXTS]


def test_metadata_may_be_a_csv_with_another_text_column(folder):
    (folder / "train" / "metadata.jsonl").unlink()
    (folder / "train" / "metadata.csv").write_text("file_name,words\n0.wav,red\n1.wav,blue\n")
    assert load(data=str(folder), text_column="words")["target"] == ["red", "blue"]
    with pytest.raises(UsageError, match="--text-column names"):
        load(data=str(folder), text_column="word")


def test_the_folders_of_librispeech_are_read(tmp_path, recordings):
    for split in ("train-clean-100", "dev-clean"):
        chapter = tmp_path / "LibriSpeech" / split / "19" / "198"
        chapter.mkdir(parents=True)
        for number, samples in enumerate(recordings.values()):
            soundfile.write(chapter / f"19-198-{number:04}.flac", samples, RATE)
        lines = [f"19-198-{number:04} {text.upper()}\n" for number, text in enumerate(TEXTS)]
        (chapter / "19-198.trans.txt").write_text("".join(lines))
    for split in ("train", "validation"):
        assert load(split, data=str(tmp_path / "LibriSpeech"))["target"] == TEXTS
    with pytest.raises(UsageError, match="no test split"):
        load("test", data=str(tmp_path / "LibriSpeech"))


def test_a_table_with_an_audio_column_is_read(tmp_path, recordings):
    contents = []
    for samples in recordings.values():
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format="flac")
        contents.append({"bytes": file.getvalue(), "path": None})
    (tmp_path / "hub").mkdir()
    table = Dataset.from_dict({"audio": contents, "sentence": TEXTS}).cast_column("audio", Audio(decode=False))
    for split in ("train", "test"):
        table.to_parquet(tmp_path / "hub" / f"{split}.parquet")
    assert load(data=str(tmp_path / "hub"))["target"] == TEXTS


def test_features_from_files_are_used_in_place_of_sound(tmp_path, capsys):
    for split in ("train", "test"):
        (tmp_path / "npy" / split).mkdir(parents=True)
    matrix = np.random.default_rng(0).standard_normal((50, 13)).astype(np.float16)
    np.save(tmp_path / "npy" / "train" / "0.npy", matrix)
    (tmp_path / "npy" / "train" / "metadata.jsonl").write_text('{"file_name": "0.npy", "text": "one one"}\n')
    task = Task(tiny_config(data=str(tmp_path / "npy"), features=FeatureConfig(num_mels=20)))
    examples = task.load("train")
    task.fit(examples)
    assert "the data are features: features.num_mels has no effect\n" in capsys.readouterr().err
    assert (task.feature_dim, task.max_frames, examples["length"]) == (13, 50, [50])
    values = task.collate_sources(examples["source"], training=False).values[0].double().numpy()
    expected = (matrix.astype(float) - matrix.mean(axis=0, dtype=float)) / matrix.std(axis=0, dtype=float)
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_all_invalid_rows_are_reported_together_and_may_be_skipped(folder, recordings):
    train = folder / "train"
    (train / "1.wav").write_bytes(b"")
    (train / "2.wav").write_text("this is a text, whatever its name says")
    soundfile.write(train / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(train / "short.wav", recordings["red seven"][:160], RATE)
    broken = np.full(RATE, np.nan, dtype=np.float32)
    soundfile.write(train / "nan.wav", broken, RATE, subtype="FLOAT")
    np.save(train / "other.npy", np.ones((50, 13), dtype=np.float32))
    rows = [{"file_name": f"{name}.wav", "text": "one"} for name in ("silent", "short", "nan", "missing")]
    rows += [{"file_name": "other.npy", "text": "one"}]
    rows += [{"file_name": "0.wav", "text": " "}, {"file_name": "0.wav", "text": "much too much " * 20}]
    with (train / "metadata.jsonl").open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError) as raised:
        load(data=str(folder))
    message = str(raised.value)
    assert "9 of 11 rows are invalid" in message
    for part in ("1.wav", "0 bytes", "2.wav", "silent", "0.01 s", "not finite", "does not exist", "13 features"):
        assert part in message
    assert "--skip-invalid" in message
    assert load(data=str(folder), skip_invalid=True)["target"] == ["red seven", "white two"]


def test_features_are_computed_once_and_again_when_a_file_changes(folder, recordings, monkeypatch):
    once = load(data=str(folder))["source"]
    read_sound = extraction.read_sound
    monkeypatch.setattr(extraction, "read_sound", None)
    assert load(data=str(folder))["source"] == once
    monkeypatch.setattr(extraction, "read_sound", read_sound)
    soundfile.write(folder / "train" / "0.wav", recordings["white two"], RATE)
    again = load(data=str(folder))["source"]
    assert again[0] == once[3]
    assert again[1:] == once[1:]


def test_all_speeds_are_cached_and_training_samples_one_of_them(folder):
    config = tiny_config(data=str(folder))
    task = Task(dataclasses.replace(config, augment=dataclasses.replace(config.augment, speeds=(0.9, 1.0, 1.1))))
    examples = task.load("train")
    task.fit(examples)
    assert {len(source) for source in examples["source"]} == {3}
    assert {len(source) for source in task.load("validation")["source"]} == {1}
    natural = Task(config).load("train")["source"]
    assert [source[0] for source in examples["source"]] == [source[0] for source in natural]
    lengths = {task.collate_sources(examples["source"][:1], training=True).values.size(1) for _ in range(40)}
    assert len(lengths) == 3
    test_lengths = {
        task.collate_sources(task.load("test")["source"][:1], training=False).values.size(1) for _ in range(5)
    }
    assert len(test_lengths) == 1


def test_training_samples_recordings_with_and_without_babble_and_the_first_is_without(folder):
    config = tiny_config(data=str(folder))
    noisy = dataclasses.replace(
        config.augment, speeds=(0.9, 1.0), babble_snrs=(10.0, -5.0), num_frequency_masks=0, num_time_masks=0
    )
    task = Task(dataclasses.replace(config, augment=noisy))
    examples = task.load("train")
    task.fit(examples)
    natural = Task(config).load("train")["source"]
    assert [source[0] for source in examples["source"]] == [source[0] for source in natural]
    assert {len(set(source)) for source in examples["source"]} == {6}
    assert {len(source) for source in task.load("validation")["source"]} == {1}
    torch.manual_seed(0)
    drawn = {
        tuple(task.collate_sources(examples["source"][:1], training=True).values[0, 0].tolist()) for _ in range(60)
    }
    assert len(drawn) == 6


@pytest.mark.parametrize("num_conv_layers", [0, 2])
def test_deltas_are_appended_and_normalized_over_the_corpus(folder, num_conv_layers):
    config = tiny_config(data=str(folder), features=FeatureConfig(num_mels=20, normalization="global", deltas=2))
    encoder = dataclasses.replace(config.encoder, num_conv_layers=num_conv_layers)
    task = Task(dataclasses.replace(config, encoder=encoder))
    examples = task.load("train")
    task.fit(examples)
    source = task.collate_sources(examples["source"][:], training=False)
    assert source.values.size(2) == 60
    values = source.values[source.mask]
    assert values.mean(dim=0).abs().max() < 1e-3
    assert torch.allclose(values.std(dim=0, correction=0), torch.ones(60), atol=0.01)
    assert task.build_encoder()(source).states.isfinite().all()


def test_with_a_frozen_encoder_only_the_original_speed_is_used(folder, monkeypatch):
    monkeypatch.setattr(Task, "preprocessor", WaveformFrames(normalize=False))
    config = tiny_config(data=str(folder), encoder=SpeechEncoderConfig(pretrained="x"))
    config = dataclasses.replace(config, augment=dataclasses.replace(config.augment, speeds=(0.9, 1.0, 1.1)))
    single = dataclasses.replace(config, augment=dataclasses.replace(config.augment, speeds=(1.0,)))
    assert Task(config).load("train")["source"][:] == Task(single).load("train")["source"][:]
    tuned = dataclasses.replace(config, train=dataclasses.replace(config.train, encoder_lr=1e-4))
    assert {len(source) for source in Task(tuned).load("train")["source"]} == {3}


# ── Models ──────────────────────────────────────────────────────────────────────────────────────────────────

OTHER_DECODERS = ("ctc", "transducer", "transducer_attention")
VARIANTS = {
    "joint": [],
    "attention alone": ["--decoder.ctc-weight", "0", "--attention.guidance-weight", "1"],
    "monotonic": ["--attention.locality", "monotonic", "--attention.num-heads", "2"],
    "location": ["--attention.score", "location", "--train.scheduled-sampling", "linear", "--train.sampling-half", "2"],
    "no attention": ["--attention.score", "none"],
    **{kind: ["--decoder.kind", kind] for kind in OTHER_DECODERS},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_model_can_be_trained_evaluated_and_used(name, train, capsys, tmp_path):
    folder = train(*VARIANTS[name])
    soundfile.write("one.wav", synthesize("a red seven", "gmw/en-US+m3"), RATE)
    lines = call(capsys, "predict", folder, "one.wav", "--beam", "2", "--n-best", "2")
    assert 1 <= len(lines) <= 2
    printed = "\n".join(call(capsys, "evaluate", folder, "--split", "validation", "--beam", "2"))
    report = json.loads((Path(folder) / "evaluation" / "validation.json").read_text())
    assert {"wer", "cer", "mer", "substitutions", "deletions", "insertions"} == set(report["metrics"])
    assert "text:no_punctuation" in printed
    assert report["real_time_factor"] > 0
    assert "wrong words" in (Path(folder) / "evaluation" / "validation.listing.txt").read_text()


@pytest.mark.parametrize("name", ["joint", "ctc", "transducer"])
def test_attention_over_the_sound_is_plotted(name, train, capsys):
    soundfile.write("one.wav", synthesize("a red seven above a blue two", "gmw/en-US+m3"), RATE)
    call(capsys, "predict", train(*VARIANTS[name]), "one.wav", "--plot-dir", "plots")
    assert imread(next(Path("plots").glob("*.png"))).std() > 0.05


def test_a_model_without_attention_has_no_plot(train, capsys):
    soundfile.write("one.wav", synthesize("a red seven", "gmw/en-US+m3"), RATE)
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run.main(["speech_recognition", "predict", train(*VARIANTS["no attention"]), "one.wav", "--plot-dir", "p"])
    assert exit.value.code == 2
    assert "no alignment" in capsys.readouterr().err


def test_options_that_a_decoder_does_not_support_are_refused(train, capsys):
    soundfile.write("one.wav", synthesize("a red seven", "gmw/en-US+m3"), RATE)
    for kind in ("ctc", "transducer"):
        assert "--sample" in error_of(capsys, "predict", train(*VARIANTS[kind]), "one.wav", "--sample")
    folder = train(*VARIANTS["ctc"])
    assert "--ensemble needs label-synchronous decoders" in error_of(
        capsys, "predict", folder, "one.wav", "--ensemble", train(*VARIANTS["ctc"])
    )


def test_compare_makes_a_table_of_decoders(capsys):
    flags = ["--vary", "decoder=recurrent,ctc", "--run", "runs", *SHORT, "--num-scenes", "24"]
    call(capsys, "compare", "tiny", *flags)
    first, second = csv.DictReader(Path("runs/compare.csv").read_text().splitlines())
    assert (first["variant"], second["variant"]) == ("decoder=recurrent", "decoder=ctc")
    assert {"wer", "cer", "parameters", "minutes", "real-time factor"} <= set(first)


# ── Prediction ──────────────────────────────────────────────────────────────────────────────────────────────


def test_there_is_a_line_for_each_input_usable_or_not(train, capsys, folder, monkeypatch):
    Path("text.wav").write_text("not sound")
    soundfile.write("silent.wav", np.zeros(RATE), RATE)
    files = [str(folder / "train" / "0.wav"), "text.wav", "missing.mp3", "silent.wav", str(folder / "test" / "1.ogg")]
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(["speech_recognition", "predict", train(), *files])
    out, err = capsys.readouterr()
    lines = out.split("\n")[:-1]
    assert len(lines) == 5
    assert lines[1] == lines[2] == lines[3] == ""
    assert lines[0]
    assert all(
        part in err for part in ("text.wav is not readable sound", "missing.mp3 does not exist", "silent.wav is silent")
    )
    alone = call(capsys, "predict", train(), files[0])
    assert alone == lines[:1]
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(["speech_recognition", "predict", train(), *files[:3], "--format", "json"])
    used, broken, missing = map(json.loads, capsys.readouterr().out.splitlines())
    assert [each["name"] for each in (used, broken, missing)] == files[:3]
    assert missing["notes"] == ["can't be used: it does not exist"] and missing["text"] == ""
    assert broken["notes"][0].startswith("can't be used: it is not readable sound")
    content = Path(files[0]).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert call(capsys, "predict", train(), "-") == alone
    run.main(["speech_recognition", "predict", train(), str(folder / "test")])
    assert capsys.readouterr().out.count("\n") == 4  # the recordings, and not their table


def test_a_long_recording_is_split_at_pauses_and_subtitled(train, capsys, recordings):
    pause = 0.001 * np.random.default_rng(1).standard_normal(int(0.8 * RATE)).astype(np.float32)
    parts = [part for samples in list(recordings.values()) * 4 for part in (samples, pause)]
    soundfile.write("long.wav", np.concatenate(parts), RATE)
    seconds = sum(map(len, parts)) / RATE
    text = call(capsys, "predict", train(), "long.wav")
    assert len(text) == 1
    subtitles = call(capsys, "predict", train(), "long.wav", "--format", "srt")
    spans = [line for line in subtitles if "-->" in line]
    labels = [line.split("\t")[:2] for line in call(capsys, "predict", train(), "long.wav", "--scores")]
    assert len(labels) > 2 and labels == [[f"1.{part}", "1"] for part in range(1, len(labels) + 1)]
    said = " ".join(line for line in subtitles if line and not line.isdigit() and "-->" not in line)
    assert said == text[0]
    ends = [parse_timestamp(part) for line in spans for part in line.split(" --> ")]
    assert ends == sorted(ends)
    assert ends[-2] <= seconds
    assert call(capsys, "predict", train(), "long.wav", "--format", "vtt")[0] == "WEBVTT"
    assert "one recording" in error_of(capsys, "predict", train(), "long.wav", "long.wav", "--format", "srt")


@pytest.mark.parametrize("name", ["joint", "ctc", "transducer", "attention"])
def test_words_have_times_in_the_whole_recording(name, train, capsys, recordings):
    pause = 0.001 * np.random.default_rng(1).standard_normal(int(0.8 * RATE)).astype(np.float32)
    parts = [part for samples in list(recordings.values()) * 4 for part in (samples, pause)]
    soundfile.write("long.wav", np.concatenate(parts), RATE)
    folder = train(*VARIANTS.get(name, ["--decoder.ctc-weight", "0"]))
    prediction = load_run(folder)("long.wav")
    assert isinstance(prediction, Prediction) and prediction.words is not None
    assert " ".join(word.text for word in prediction.words) == prediction.text
    times = [time for word in prediction.words for time in (word.start, word.end)]
    assert times == pytest.approx(sorted(times), abs=1e-6) and times[-1] <= sum(map(len, parts)) / RATE + 1e-6
    assert prediction.segment_words is not None
    for span, words in zip(prediction.spans, prediction.segment_words, strict=True):
        assert span and all(span[0] <= word.start + 1e-6 and word.end <= span[1] + 1e-6 for word in words)
    lines = [line.split("\t") for line in call(capsys, "predict", folder, "long.wav", "--words")]
    assert [line[3] for line in lines] == prediction.text.split()
    assert [float(line[1]) for line in lines] == pytest.approx([word.start for word in prediction.words], abs=0.006)


def test_a_run_without_alignments_has_no_times_but_subtitles(train, capsys):
    soundfile.write("one.wav", synthesize("a red seven", "gmw/en-US+m3"), RATE)
    folder = train(*VARIANTS["no attention"])
    assert "--words: this run has no times" in error_of(capsys, "predict", folder, "one.wav", "--words")
    (text,) = call(capsys, "predict", folder, "one.wav")
    lines = call(capsys, "predict", folder, "one.wav", "--format", "srt")
    assert " ".join(line for line in lines if line and not line.isdigit() and "-->" not in line) == text


def test_every_format_says_what_is_known_of_each_input(train, capsys, folder):
    files = [str(folder / "train" / f"{number}.wav") for number in (0, 1)]
    texts = call(capsys, "predict", train(), *files)
    rows = [json.loads(line) for line in call(capsys, "predict", train(), *files, "--format", "jsonl", "--words")]
    assert [(row["input"], row["name"], row["segment"], row["rank"]) for row in rows] == [
        (1, files[0], 1, 1),
        (2, files[1], 1, 1),
    ]
    assert [row["text"] for row in rows] == texts
    for row in rows:
        assert " ".join(word["text"] for word in row["words"]) == row["text"]
        assert row["start"] == 0.0 and row["words"][-1]["end"] <= row["end"] + 1e-3
    objects = [json.loads(line) for line in call(capsys, "predict", train(), *files, "--format", "json", "--words")]
    assert [each["words"] for each in objects] == [row["words"] for row in rows]
    assert "words" not in json.loads(call(capsys, "predict", train(), files[0], "--format", "json")[0])
    header, *table = [line.split("\t") for line in call(capsys, "predict", train(), *files, "--format", "tsv")]
    assert header == ["name", "start", "end", "text"]
    assert table == [
        [file, "0", str(round(1000 * row["end"])), row["text"]] for file, row in zip(files, rows, strict=True)
    ]
    words = [line.split("\t") for line in call(capsys, "predict", train(), *files, "--format", "tsv", "--words")][1:]
    assert [word[3] for word in words] == " ".join(texts).split()


def test_each_of_many_recordings_has_a_file_that_overwrites_none(train, capsys, folder):
    Path("broken.wav").write_text("not sound")
    files = [str(folder / split / name) for split, name in (("train", "0.wav"), ("val", "0.flac"), ("test", "1.ogg"))]
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(
            [
                "speech_recognition",
                "predict",
                train(),
                files[0],
                "broken.wav",
                *files[1:],
                "--format",
                "srt",
                "--output-dir",
                "out",
            ]
        )
    out, err = capsys.readouterr()
    assert out == "" and "broken.wav is not readable sound" in err and "line stays empty" not in err
    assert {path.name for path in Path("out").iterdir()} == {"0.srt", "0 (2).srt", "1.srt"}
    assert f"{files[1]}: {Path('out', '0 (2).srt')}" in err
    (single,) = ["\n".join(call(capsys, "predict", train(), files[0], "--format", "srt"))]
    assert Path("out", "0.srt").read_text(encoding="utf-8") == single + "\n"
    call(capsys, "predict", train(), *files, "--format", "tsv", "--output-dir", "tables")
    assert Path("tables", "1.tsv").read_text(encoding="utf-8").startswith("start\tend\ttext\n0\t")
    call(capsys, "predict", train(), files[2], "--format", "json", "--output-dir", "tables")
    assert json.loads(Path("tables", "1.json").read_text(encoding="utf-8"))["name"] == files[2]


def test_the_first_line_is_printed_before_the_last_file_is_opened(train, folder, monkeypatch, capsys):
    events: list[str] = []
    read = speech_task.read_segments

    def read_and_note(*arguments):
        events.append("read")
        return read(*arguments)

    monkeypatch.setattr(speech_task, "read_segments", read_and_note)
    monkeypatch.setattr("builtins.print", lambda *values, **settings: events.append("print"))
    run.main(["speech_recognition", "predict", train(), *[str(folder / "train" / "0.wav")] * 12])
    assert events.count("read") == events.count("print") == 12
    assert events[: events.index("print")].count("read") == FIRST_CHUNK


def parse_timestamp(timestamp: str) -> float:
    hours, minutes, seconds = timestamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def test_other_features_than_in_training_are_refused(train, capsys):
    np.save("other.npy", np.ones((50, 13), dtype=np.float32))
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"^2$"):
        run.main(["speech_recognition", "predict", train(), "other.npy"])
    out, err = capsys.readouterr()
    assert out == "\n"
    assert "13 features a frame" in err


def test_the_toy_world_has_the_configured_number_of_utterances():
    assert len(load(num_scenes=30)) == 30
    assert len(load("validation", num_scenes=30)) == 2
    assert len(load("test", num_scenes=30)) == 3
    assert SPEAKERS.keys() == {"train", "validation", "test"}


# ── Settings ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pyramid_needs_more_layers_than_pairings():
    with pytest.raises(ValueError, match=r"encoder\.pyramid_layers is 2; allowed is 0 to .*, 1"):
        SpeechEncoderConfig(RecurrentEncoderConfig(num_layers=2), pyramid_layers=2)
    assert SpeechEncoderConfig().sequence.num_layers == 3


def test_settings_without_effect_are_listed():
    assert SpeechEncoderConfig().unused_settings() == {}
    assert set(SpeechEncoderConfig(num_conv_layers=0).unused_settings()) == {"channels"}
    pretrained = SpeechEncoderConfig(pretrained="x")
    assert set(pretrained.unused_settings()) == {"num_conv_layers", "channels"}
    for_pretrained = {"train.encoder_lr", "train.unfreeze_at"}
    always = {"vocabulary.shared", "batch.targets_per_source"}
    assert set(tiny().unused_settings()) == {*always, "text_column", "skip_invalid", *for_pretrained}
    frozen = set(tiny_config(data="x", encoder=pretrained).unused_settings())
    assert {"num_scenes", "features.num_mels", "augment.stretch", "augment.speeds"} <= frozen
    tuned = tiny_config(data="x", encoder=pretrained, train=dataclasses.replace(tiny().train, encoder_lr=1e-4))
    assert "augment.speeds" not in tuned.unused_settings()


def test_speech_monitors_the_diagonal():
    assert Task(tiny()).attention_monitor is not None
