"""Video to text as it is used: all forms of data, invalid files, cached frames, plots, both sets of metrics."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, Features, List, Value, Video
from matplotlib.image import imread
from PIL import Image
from torch.testing import assert_close
from transformers import ResNetConfig, ResNetModel, ViTImageProcessor

from encoders.config import NoSequenceEncoderConfig, RecurrentEncoderConfig
from tasks import load as load_run
from tasks import run
from tasks.common.errors import UsageError
from tasks.common.inference.prediction import Prediction
from tasks.common.training.attention_monitor import DiagonalityMonitor, FocusMonitor
from tasks.common.training.precompute import precompute
from tasks.toy_world.videos import write_video
from tasks.video_to_text.config import FrameConfig, VideoEncoderConfig
from tasks.video_to_text.presets import PRESETS, tiny
from tasks.video_to_text.task import VideoToText as Task

CAPTIONS = [["A red one.", "one in red"], ["A blue one.", "it's blue"], ["Green!", "all green"]]
COLORS = [(200, 0, 0), (0, 0, 200), (0, 200, 0)]
REGIONS = ["--encoder.kind", "none", "--encoder.frame-aggregation", "regions"]
SHORT = ["--train.epochs", "1", "--vocabulary.min-frequency", "1", "--search.max-length", "8"]


@pytest.fixture(autouse=True)
def _work_in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def save_videos(folder: Path, names: list[str]) -> None:
    """Save three videos of two, three and four frames."""
    for number, name in enumerate(names):
        write_video(np.full((2 + number, 32, 48, 3), COLORS[number], dtype=np.uint8), folder / f"{name}.mp4")


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path) -> Path:
    """The videofolder convention."""
    data = tmp_path / "data"
    for split in ("train", "val", "test"):
        save_videos(data / split, ["0", "1", "2"])
        rows = [{"file_name": f"{number}.mp4", "captions": captions} for number, captions in enumerate(CAPTIONS)]
        write_rows(data / split / "metadata.jsonl", rows)
    return data


def config(**changes):
    return dataclasses.replace(tiny(), **changes)


def load(data: object, split: str = "train", **changes) -> Dataset:
    return Task(config(data=str(data), **changes)).load(split)


# ── Forms of data ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_is_read_with_lengths_in_frames(folder):
    examples = load(folder)
    assert examples["references"][:] == CAPTIONS
    assert examples["target"][:] == [["a red one", "one in red"], ["a blue one", "it's blue"], ["green", "all green"]]
    assert examples["length"][:] == [2, 3, 4]
    assert load(folder, "validation", frames=FrameConfig(num_frames=3))["length"][:] == [2, 3, 3]


def test_the_annotations_of_msrvtt_are_read(tmp_path):
    save_videos(tmp_path / "vtt" / "TrainValVideo", ["video0", "video1", "video2"])
    splits = ["train", "validate", "train"]
    content = {
        "videos": [{"video_id": f"video{n}", "split": splits[n], "id": n} for n in range(3)],
        "sentences": [{"video_id": f"video{n}", "caption": text} for n in range(3) for text in CAPTIONS[n]],
    }
    (tmp_path / "vtt" / "train_val_videodatainfo.json").write_text(json.dumps(content))
    assert load(tmp_path / "vtt")["references"][:] == [CAPTIONS[0], CAPTIONS[2]]
    assert load(tmp_path / "vtt", "validation")["references"][:] == CAPTIONS[1:2]
    with pytest.raises(UsageError, match="no videos of the test split"):
        load(tmp_path / "vtt", "test")


@pytest.mark.parametrize("listing", ["AllVideoDescriptions.txt", "video_corpus.csv"])
def test_msvd_is_read_with_either_listing_and_either_split(tmp_path, listing):
    names = ["a_b_1_9", "c_0_4", "-d_3_5"]
    save_videos(tmp_path / "msvd" / "YouTubeClips", names)
    pairs = [(names[n], text) for n in range(3) for text in CAPTIONS[n]]
    if listing.endswith("txt"):
        text = "# a note\n" + "".join(f"{name} {caption}\n" for name, caption in pairs)
    else:
        rows = [(*name.rsplit("_", 2), "English", caption) for name, caption in pairs] + [("c", 0, 4, "German", "blau")]
        text = "VideoID,Start,End,Language,Description\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    (tmp_path / "msvd" / listing).write_text(text)
    with pytest.raises(UsageError, match="the clips of the train split are not known"):
        load(tmp_path / "msvd")
    mapping = [f"{name} vid{number}\n" for name, number in zip(names, (3, 1201, 1400), strict=True)]
    (tmp_path / "msvd" / "youtube_mapping.txt").write_text("".join(mapping))
    assert load(tmp_path / "msvd")["references"][:] == CAPTIONS[:1]
    assert load(tmp_path / "msvd", "validation")["references"][:] == CAPTIONS[1:2]
    (tmp_path / "msvd" / "train_list.txt").write_text("\n".join(names[1:]))
    assert load(tmp_path / "msvd")["references"][:] == CAPTIONS[1:]


def test_a_dataset_with_a_video_column_is_read(tmp_path, folder):
    videos = [{"path": None, "bytes": (folder / "train" / f"{n}.mp4").read_bytes()} for n in range(3)]
    features = Features({"clip": Video(decode=False), "caption": List(Value("string"))})
    table = Dataset.from_dict({"clip": videos, "caption": CAPTIONS}, features=features)
    table = table.cast_column("clip", Video())
    DatasetDict(train=table, test=table).save_to_disk(str(tmp_path / "saved"))
    examples = load(tmp_path / "saved")
    assert examples["references"][:] == CAPTIONS
    task = Task(config(data="x"))
    task.fit(examples)
    source = task.collate_sources(examples["source"][:], training=False)
    assert source.values.shape == (3, 4, 3, 32, 32)
    assert source.mask.sum(dim=1).tolist() == [2, 3, 4]
    for row, color in enumerate(COLORS):
        assert_close(source.values[row, 0].float().mean(dim=(1, 2)), torch.tensor(color).float(), atol=6, rtol=0)


def test_frame_features_and_folders_of_frames_are_used_in_place_of_videos(tmp_path, capsys):
    for split in ("train", "val"):
        (tmp_path / "features" / split).mkdir(parents=True)
        rows = []
        for number, captions in enumerate(CAPTIONS):
            np.save(tmp_path / "features" / split / f"{number}.npy", np.random.rand(2 + number, 6).astype(np.float16))
            rows.append({"file_name": f"{number}.npy", "captions": captions})
        write_rows(tmp_path / "features" / split / "metadata.jsonl", rows)
    run.main(
        ["video_to_text", "train", "tiny", "--data", "features", "--run", "run", "--augment.stutter", "0.1", *SHORT]
    )
    note = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("the data are features: "))
    assert "augment.stutter" in note and "frames.num_frames" in note and "encoder.size" in note
    assert "encoder.frontend" not in note  # as by default
    run.main(["video_to_text", "evaluate", "run", "--split", "validation"])
    run.main(["video_to_text", "predict", "run", "features/val/1.npy", "--plot-dir", "plots"])
    assert imread(next(Path("plots").glob("*.png"))).size > 0
    (tmp_path / "frames" / "test").mkdir(parents=True)
    frames = tmp_path / "frames" / "train"
    for number in range(3):
        (frames / str(number)).mkdir(parents=True)
        for frame in range(2 + number):
            Image.new("RGB", (30, 20), COLORS[number]).save(frames / str(number) / f"{frame}.png")
    write_rows(frames / "metadata.jsonl", [{"file_name": str(n), "captions": CAPTIONS[n]} for n in range(3)])
    assert load(tmp_path / "frames")["length"][:] == [2, 3, 4]


def test_all_invalid_rows_are_reported_together_and_may_be_skipped(folder):
    train = folder / "train"
    (train / "0.mp4").write_bytes(b"")
    (train / "1.mp4").write_text("not a video")
    with pytest.raises(
        UsageError,
        match=r"2 of 3 rows are invalid.*\(0\.mp4\) is empty.*\(1\.mp4\) is not a readable video.*--skip-invalid",
    ):
        load(folder)
    assert load(folder, skip_invalid=True)["references"][:] == CAPTIONS[2:]


def test_cached_frames_are_never_decoded_again(folder, monkeypatch):
    configs = FrameConfig(num_frames=3), FrameConfig(num_frames=3, cache_frames=True)
    uncached, cached = (Task(config(data=str(folder), frames=frames)) for frames in configs)
    sources = [task.load("train")["source"][:] for task in (uncached, cached)]
    for task in (uncached, cached):
        task.feature_dim = 0
    expected = uncached.collate_sources(sources[0], training=False)
    monkeypatch.setattr("av.open", None)
    again = cached.collate_sources(cached.load("train")["source"][:], training=False)
    assert torch.equal(again.values, expected.values)
    assert torch.equal(again.mask, expected.mask)


# ── Encoders ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def resnet(tmp_path) -> str:
    torch.manual_seed(1)
    ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).save_pretrained(
        tmp_path / "resnet"
    )
    size = {"height": 32, "width": 32}
    ViTImageProcessor(size=size, image_mean=[0.4] * 3, image_std=[0.2] * 3).save_pretrained(tmp_path / "resnet")
    return str(tmp_path / "resnet")


def test_a_run_does_not_need_the_folder_of_its_pretrained_model(folder, resnet, capsys):
    flags = ["--data", str(folder), "--encoder.pretrained", resnet, "--encoder.size", "32"]
    run.main(["video_to_text", "train", "tiny", *flags, "--run", "run", *SHORT])
    (Path(resnet) / "config.json").unlink()
    capsys.readouterr()
    run.main(["video_to_text", "predict", "run", str(folder / "test" / "0.mp4")])
    assert capsys.readouterr().out.count("\n") == 1
    with pytest.raises(SystemExit):
        run.main(["video_to_text", "train", "tiny", *flags, "--run", "other", *SHORT])
    assert "can't be loaded" in capsys.readouterr().err


def test_raw_and_precomputed_videos_give_the_same_memory(folder, resnet):
    encoder = dataclasses.replace(tiny().encoder, pretrained=resnet, size=())
    task = Task(config(data=str(folder), encoder=encoder))
    examples = task.load("train")
    task.fit(examples)
    model = task.build_model().eval()
    precomputed = precompute(task, model.encoder.frontend, examples)
    assert precomputed["length"][:] == [2, 3, 4]
    raw, cached = (
        model.encoder(task.batch_sources(part["source"][:], training=False)) for part in (examples, precomputed)
    )
    assert_close(cached.states, raw.states, rtol=1e-2, atol=1e-2)
    other = Task(config(data=str(folder), encoder=encoder, frames=FrameConfig(num_frames=2)))
    other.fit(other.load("train"))
    assert precompute(other, model.encoder.frontend, other.load("train"))["length"][:] == [2, 2, 2]


@pytest.mark.parametrize(
    "flags",
    [
        ["--encoder.kind", "none", "--encoder.frame-aggregation", "mean", "--attention.score", "none"],
        ["--encoder.kind", "none", "--decoder.kind", "s2vt"],
        ["--encoder.frontend", "spatiotemporal", "--decoder.ctc-weight", "0.3", "--vocabulary.kind", "character"],
        ["--encoder.kind", "none", "--attention.num-heads", "2"],
        [*REGIONS, "--encoder.frontend", "spatiotemporal"],
        [*REGIONS, "--encoder.frontend", "two_stream", "--encoder.window-frames", "4"],
        ["--augment.stutter", "0.2", "--augment.crop", "0.1", "--frames.cache-frames"],
    ],
)
def test_every_encoder_of_videos_can_be_trained_and_evaluated(flags, capsys):
    run.main(["video_to_text", "train", "tiny", "--run", "run", "--train.epochs", "1", "--num-scenes", "32", *flags])
    run.main(["video_to_text", "evaluate", "run", "--split", "validation", "--beam", "2"])
    assert "cider" in capsys.readouterr().out


# ── The command line ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def trained(folder) -> str:
    run.main(["video_to_text", "train", "tiny", "--data", str(folder), "--run", "run", *SHORT])
    return "run"


def test_predict_reads_files_and_folders_and_reports_what_it_cannot_read(trained, folder, capsys):
    (folder / "test" / "z.mp4").write_text("text")
    frames = folder / "frames"
    frames.mkdir()
    Image.new("RGB", (48, 32), COLORS[0]).save(frames / "1.png")
    Image.new("RGB", (48, 32), COLORS[0]).save(frames / "2.png")
    capsys.readouterr()
    inputs = [str(folder / "test"), str(frames), str(folder / "test" / "0.mp4")]
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(["video_to_text", "predict", trained, *inputs])
    out, err = capsys.readouterr()
    # 0.mp4, 1.mp4, 2.mp4, z.mp4, the folder of frames, and the first again
    lines = out.split("\n")[:-1]
    assert len(lines) == 6
    assert lines[3] == ""
    assert lines[0] == lines[5]
    assert "z.mp4 is not a readable video" in " ".join(err.split())


@pytest.mark.parametrize("metric_set", ["captions", "words"])
def test_words_read_from_lips_have_times_and_those_about_a_video_have_none(metric_set, folder):
    flags = ["--data", str(folder), "--run", "run", "--metric-set", metric_set]
    run.main(["video_to_text", "train", "tiny", *flags, *SHORT])
    prediction = load_run("run")(folder / "test" / "2.mp4")
    assert isinstance(prediction, Prediction)
    assert prediction.spans == [(0.0, pytest.approx(1.0))]  # four frames
    if metric_set == "captions":
        assert prediction.words is None
    else:
        assert prediction.words is not None
        assert [word.text for word in prediction.words] == prediction.text.split()
        assert all(0 <= word.start <= word.end <= 1.0 + 1e-6 for word in prediction.words)
    frames = load_run("run")(np.zeros((4, 32, 48, 3), dtype=np.uint8))
    assert isinstance(frames, Prediction) and frames.words is None  # nobody knows how long they last


def test_predict_plots_the_frames(trained, folder):
    run.main(["video_to_text", "predict", trained, str(folder / "test" / "2.mp4"), "--plot-dir", "plots"])
    assert imread(next(Path("plots").glob("*.png"))).shape[1] > 300


def test_predict_plots_the_frames_once_for_each_word_with_attention_to_regions(folder):
    flags = [*REGIONS, "--encoder.frontend", "spatiotemporal"]
    run.main(["video_to_text", "train", "tiny", "--data", str(folder), "--run", "run", *SHORT, *flags])
    run.main(["video_to_text", "predict", "run", str(folder / "test" / "2.mp4"), "--plot-dir", "plots"])
    assert imread(next(Path("plots").glob("*.png"))).size > 0


def test_regions_with_a_pretrained_encoder_are_refused(folder, resnet, capsys):
    flags = ["--data", str(folder), "--encoder.pretrained", resnet, *REGIONS]
    with pytest.raises(SystemExit):
        run.main(["video_to_text", "train", "tiny", *flags, "--run", "run", *SHORT])
    assert "needs an encoder from scratch" in capsys.readouterr().err


def test_a_model_without_attention_has_no_plot(folder, capsys):
    flags = ["--encoder.kind", "none", "--decoder.kind", "s2vt"]
    run.main(["video_to_text", "train", "tiny", "--data", str(folder), "--run", "run", *SHORT, *flags])
    with pytest.raises(SystemExit):
        run.main(["video_to_text", "predict", "run", str(folder / "test" / "2.mp4"), "--plot-dir", "plots"])
    assert "no alignment" in capsys.readouterr().err


def test_lip_reading_is_scored_by_word_errors(folder):
    for split in ("train", "val", "test"):
        rows = [{"file_name": f"{number}.mp4", "text": captions[0]} for number, captions in enumerate(CAPTIONS)]
        write_rows(folder / split / "metadata.jsonl", rows)
    run.main(["video_to_text", "train", "tiny", "--data", str(folder), "--run", "run", "--metric-set", "words", *SHORT])
    run.main(["video_to_text", "evaluate", "run"])
    report = json.loads(Path("run/evaluation/test.json").read_text())
    assert {"wer", "cer"} <= set(report["metrics"])
    assert report["diversity"] == {}


def test_sizes_that_the_layers_cannot_halve_are_refused():
    task = Task(config(encoder=dataclasses.replace(tiny().encoder, size=(32, 36))))
    task.fit(task.load("train"))
    with pytest.raises(UsageError, match=r"32 × 36; .* multiples of 8"):
        task.build_model()


def test_every_preset_is_a_complete_configuration():
    for name, preset in PRESETS.items():
        assert preset.__doc__, name
        assert (preset().metric_set == "words") == (name == "grid")


# ── Settings ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("aggregation", ["mean", "regions"])
def test_a_sequence_encoder_needs_a_state_for_each_frame(aggregation):
    with pytest.raises(UsageError, match=r"encoder\.frame_aggregation is .* with encoder\.kind recurrent"):
        Task(config(encoder=VideoEncoderConfig(RecurrentEncoderConfig(), frame_aggregation=aggregation)))
    Task(config(encoder=VideoEncoderConfig(NoSequenceEncoderConfig(), frame_aggregation=aggregation)))


def test_a_pretrained_encoder_takes_square_frames_only():
    with pytest.raises(ValueError, match=r"encoder\.size is .* with encoder\.pretrained"):
        VideoEncoderConfig(pretrained="x", size=(32, 48))


def test_settings_without_effect_are_listed():
    only_for_two_streams = {"temporal_channels", "window_frames"}
    assert set(VideoEncoderConfig().unused_settings()) == {"grad_checkpointing", *only_for_two_streams}
    assert set(VideoEncoderConfig(frontend="two_stream").unused_settings()) == {"grad_checkpointing"}
    pretrained = VideoEncoderConfig(pretrained="x").unused_settings()
    assert set(pretrained) == {"channels", "frontend", *only_for_two_streams}


def test_only_lip_reading_monitors_the_diagonal():
    words = Task(config(metric_set="words"))
    assert isinstance(words.attention_monitor, DiagonalityMonitor)
    assert isinstance(Task(config()).attention_monitor, FocusMonitor)
