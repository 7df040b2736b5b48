"""Audio-visual speech recognition as it is used: from videos with sound to transcripts and plots."""

import dataclasses
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import ResNetConfig, ResNetModel, ViTImageProcessor

from encoders.config import RecurrentEncoderConfig
from tasks import load as load_run
from tasks import run
from tasks.audio_visual_speech.presets import grid
from tasks.audio_visual_speech.task import AudioVisualSpeech as Task
from tasks.common.errors import UsageError
from tasks.common.inference.prediction import Prediction
from tasks.common.training.trainer import Trainer
from tasks.speech_recognition.config import SpeechEncoderConfig
from tasks.video_to_text.config import FrameConfig, VideoEncoderConfig

RATE = 16_000
FROM_SCRATCH = ["--lips.encoder.size", "16", "--lips.encoder.channels", "8"]
TEXTS = ["red two", "blue one", "green two", "red one"]
TINY = [
    *["--lips.frames.crop", "--memory-dim", "16"],
    *["--lips.encoder.hidden-dim", "16", "--sound.encoder.hidden-dim", "16", "--decoder.hidden-dim", "16"],
    *["--train.epochs", "1", "--train.average-checkpoints", "0", "--search.max-length", "8"],
]


@pytest.fixture(autouse=True)
def _work_in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def save_clip(path: Path, number: int, *, with_sound: bool = True) -> None:
    """Save twelve frames and half a second of a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 48, 32, "yuv420p"
        sound = file.add_stream("flac", rate=RATE, layout="mono") if with_sound else None
        for _ in range(12):
            image = np.full((32, 48, 3), 60 * number, dtype=np.uint8)
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(image)))
        file.mux(pictures.encode(None))
        if sound is not None:
            tone = 8000 * np.sin(2 * np.pi * (300 + 200 * number) * np.arange(RATE // 2) / RATE)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            file.mux([*sound.encode(frame), *sound.encode(None)])


@pytest.fixture
def folder(tmp_path) -> Path:
    data = tmp_path / "data"
    for split in ("train", "val"):
        for number in range(len(TEXTS)):
            save_clip(data / split / f"{number}.mkv", number)
        rows = [{"file_name": f"{number}.mkv", "text": text} for number, text in enumerate(TEXTS)]
        (data / split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def load(data: Path, **changes) -> Dataset:
    preset = grid()
    lips = dataclasses.replace(
        preset.lips, frames=FrameConfig(num_frames=0), encoder=VideoEncoderConfig(size=(16,), channels=(8,))
    )
    return Task(dataclasses.replace(preset, data=str(data), lips=lips, **changes)).load("train")


def error_of(capsys, *arguments: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit:
        run.main(["audio_visual_speech", *arguments])
    err = capsys.readouterr().err
    assert exit.value.code == 2
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    return err


@pytest.mark.parametrize("cache_frames", [False, True])
def test_a_source_is_a_video_and_its_sound(folder, cache_frames):
    preset = grid()
    frames = FrameConfig(num_frames=0, cache_frames=cache_frames)
    recurrent = RecurrentEncoderConfig(hidden_dim=8)
    encoder = VideoEncoderConfig(recurrent, size=(16,), frontend="spatiotemporal", channels=(8,))
    config = dataclasses.replace(
        preset,
        data=str(folder),
        lips=dataclasses.replace(preset.lips, frames=frames, encoder=encoder),
        sound=dataclasses.replace(preset.sound, encoder=SpeechEncoderConfig(recurrent)),
    )
    task = Task(config)
    examples = task.load("train")
    task.fit(examples)
    assert examples["target"][:] == TEXTS
    assert examples["references"][:] == [[text] for text in TEXTS]
    assert examples["length"][:] == [12] * 4
    assert {len(source["sound"]) for source in examples["source"]} == {1 + len(preset.sound.augment.babble_snrs)}
    batch = task.collate(examples, [2, 0])
    assert batch.source.values.shape == (2, 12, 3, 16, 16)
    assert batch.source.values[:, 0, 0, 0, 0].tolist() == pytest.approx([120, 0], abs=4)  # the rows' own colors
    (sound,) = batch.source.others
    assert sound.values.shape[2] == 40
    own = task.speech.collate_sources([examples[2]["source"]["sound"]], training=False).values[0]
    torch.testing.assert_close(sound.values[0], own)
    restored = Task(config)
    restored.load_state_dict(json.loads(json.dumps(task.state_dict())))
    memory = restored.build_model().eval().encode(batch)
    assert memory.mask.sum(dim=1).tolist() == [12, 12]  # a state for each frame


def test_rows_without_sound_or_pictures_are_reported_and_may_be_skipped(folder):
    save_clip(folder / "train" / "1.mkv", 1, with_sound=False)
    (folder / "train" / "2.mkv").write_bytes(b"")
    with pytest.raises(UsageError, match=r"2\.mkv"):
        load(folder)
    examples = load(folder, skip_invalid=True)
    assert examples["target"][:] == [TEXTS[0], TEXTS[3]]


@pytest.mark.parametrize("fusion", ["features", "states"])
def test_a_model_is_trained_evaluated_and_used_with_plots_of_both_sources(folder, capsys, fusion):
    flags = ["--data", str(folder), "--run", "av", "--fusion", fusion, *TINY, *FROM_SCRATCH]
    run.main(["audio_visual_speech", "train", "grid", *flags])
    run.main(["audio_visual_speech", "evaluate", "av", "--split", "validation", "--beam", "2"])
    assert "jiwer" in capsys.readouterr().out
    clip, silent = folder / "val" / "0.mkv", folder / "silent.mkv"
    save_clip(silent, 2, with_sound=False)
    with pytest.raises(SystemExit, match=r"^1$"):
        run.main(["audio_visual_speech", "predict", "av", str(clip), str(silent), "--plot-dir", "plots"])
    captured = capsys.readouterr()
    assert len(captured.out.split("\n")) == 3
    assert "silent.mkv has no sound track" in captured.err
    assert {path.name for path in Path("plots").iterdir()} == {"0.png", "0-sound.png"}
    prediction = load_run("av")(str(clip))
    assert isinstance(prediction, Prediction) and prediction.words is not None
    (span,) = prediction.spans
    assert span and [word.text for word in prediction.words] == prediction.text.split()
    assert all(0 <= word.start <= word.end <= span[1] + 1e-6 for word in prediction.words)
    further = ["train", "--init-from", "av", "--run", "further", "--sound.augment.babble-snrs"]
    run.main(["audio_visual_speech", *further])
    message = error_of(capsys, *further[:-2], "other", "--sound.features.num-mels", "20")
    assert "--sound.features.num-mels: with --init-from" in message


@pytest.mark.parametrize("is_frozen", [True, False])
def test_the_frames_may_have_a_pretrained_encoder(folder, tmp_path, is_frozen):
    resnet = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))
    resnet.save_pretrained(tmp_path / "resnet")
    size = {"height": 32, "width": 32}
    ViTImageProcessor(size=size, image_mean=[0.4] * 3, image_std=[0.2] * 3).save_pretrained(tmp_path / "resnet")
    pretrained = ["--lips.encoder.pretrained", str(tmp_path / "resnet"), "--lips.encoder.size", "32"]
    flags = ["--data", str(folder), "--run", "av", *pretrained]
    fine_tuning = [] if is_frozen else ["--train.encoder-lr", "1e-3"]
    run.main(["audio_visual_speech", "train", "grid", *flags, *TINY, *fine_tuning])
    trained = load_file("av/best.safetensors")
    weights = [name for name, tensor in resnet.named_parameters() if tensor.dim() == 4]
    pairs = [(resnet.state_dict()[name], trained[key]) for name in weights for key in trained if key.endswith(name)]
    assert len(pairs) == len(weights) > 0
    assert all(torch.equal(*pair) == is_frozen for pair in pairs)


def test_encoders_may_begin_with_those_of_models_of_one_source(folder, capsys):
    common = ["--data", str(folder), "--train.epochs", "1", "--train.average-checkpoints", "0"]
    sound = ["--encoder.hidden-dim", "16", "--encoder.channels", "8", "--encoder.num-layers", "1"]
    run.main(["speech_recognition", "train", "grid", "--run", "sound", *common, *sound, "--augment.speeds", "1"])
    frames = ["--frames.crop", "--encoder.size", "16", "--encoder.channels", "8", "--encoder.hidden-dim", "16"]
    run.main(["video_to_text", "train", "grid", "--run", "lips", *common, *frames])
    preset = grid()
    config = dataclasses.replace(
        preset,
        data=str(folder),
        sound=dataclasses.replace(
            preset.sound,
            encoder=SpeechEncoderConfig(RecurrentEncoderConfig(hidden_dim=16, dropout=0.3), channels=8),
            encoder_from="sound",
        ),
        lips=dataclasses.replace(
            preset.lips,
            frames=FrameConfig(num_frames=0, cache_frames=True),
            encoder=VideoEncoderConfig(
                RecurrentEncoderConfig(hidden_dim=16, num_layers=2),
                size=(16,),
                frontend="spatiotemporal",
                channels=(8,),
            ),
            encoder_from="lips",
        ),
    )
    model = Trainer(Task(config), Path("av"), resume=False).model
    weights = model.encoder.state_dict()
    for place, other in enumerate(("lips", "sound")):
        expected = load_file(f"{other}/best.safetensors")
        own = [name for name in expected if name.startswith("encoder.")]
        assert own
        for name in own:
            torch.testing.assert_close(weights[f"encoders.{place}.{name.removeprefix('encoder.')}"], expected[name])
    train = ["train", "grid", "--data", str(folder), "--run", "bad", *TINY, *FROM_SCRATCH]
    assert "--sound.encoder-from is sound, whose encoder has other" in error_of(
        capsys, *train, "--sound.encoder-from", "sound"
    )
    assert "nowhere" in error_of(capsys, *train, "--lips.encoder-from", "nowhere")
    mels = ["--sound.features.num-mels", "20", "--sound.encoder-from", "sound"]
    assert "--sound.encoder-from is sound, whose features differ" in error_of(capsys, *train, *mels)


def test_mistakes_get_one_line_with_the_flags_of_their_part(folder, capsys):
    train = ["train", "grid", "--data", str(folder), "--run", "bad"]
    assert "--lips.encoder.size" in error_of(capsys, *train, "--lips.encoder.size", "0")
    assert "--lips.encoder.kind" in error_of(capsys, *train, "--lips.encoder.kind", "wrong")
    message = error_of(capsys, *train, "--sound.encoder.kind", "transformer", "--sound.encoder.cell", "gru")
    assert "--sound.encoder.cell is a setting of --sound.encoder.kind recurrent" in message
    assert "--lips.encoder.window-frames has no effect" in error_of(capsys, *train, "--lips.encoder.window-frames", "3")
    assert "--train.encoder-lr has no effect" in error_of(capsys, *train, "--train.encoder-lr", "1e-4")
    assert "no lips in the toy world" in error_of(capsys, "train", "grid", "--data", "None", "--run", "bad")
