"""Exported runs: their scripts find the sentences that PyTorch finds, without it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from tasks import load, run
from tasks.common.inference.trained_model import TrainedModel
from tasks.common.training.checkpoints import read_weights, save_weights
from tasks.toy_world.scenes import text_pairs

RATE_HZ = 16_000
SCALE = 3  # of the weights
SCRIPT = """
import json, runpy, sys
from infer import read
from search import Model
model, inputs = Model(), sys.argv[1:]
print(json.dumps([[model(read(each), **search) for each in inputs] for search in json.loads(sys.stdin.read())]))
sys.argv = ["infer.py", *inputs]
runpy.run_path("infer.py", run_name="__main__")
assert not {"torch", "tasks", "encoders", "decoders", "attention", "scipy"} & set(sys.modules)
"""
SEARCHES = (
    {"beam": 1},
    {"beam": 4},
    {"beam": 4, "length_penalty": 0.0, "min_length": 6, "no_repeat_ngram": 2, "coverage_penalty": 0.3},
)


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> Path:
    """A joint run of text, sound and images, with weights so large that each input has a sentence of its own."""
    data = tmp_path_factory.mktemp("data")
    save_text_pairs(data, train=160, validation=12)
    folder = tmp_path_factory.mktemp("runs") / "joint"
    sizes = ["--speech-recognition.num-scenes", "16", "--image-captioning.num-scenes", "32"]
    flags = [*sizes, "--video-to-text.num-scenes", "16", "--train.epochs", "1", "--search.max-length", "12"]
    run.main(["joint", "train", "tiny", "--translation.data", str(data), *flags, "--run", str(folder)])
    weights = read_weights(folder / "best.safetensors")
    save_weights(folder / "best.safetensors", {name: SCALE * tensor for name, tensor in weights.items()})
    return folder


@pytest.fixture(scope="module")
def model(joint: Path) -> TrainedModel:
    return load(joint)


def check_sentences(joint: Path, model: TrainedModel, task: str, inputs: list[str]) -> None:
    """Compare the sentences of the exported run with those of PyTorch, in Python and on the command line."""
    run.main(["export", str(joint), "--to", "onnx", "--task", task])
    expected = []
    for search in SEARCHES:
        predictions = model(inputs, task=task, **search)
        assert isinstance(predictions, list)
        expected.append([prediction.text for prediction in predictions])
    assert len({sentence for sentences in expected for sentence in sentences}) > 3  # not all are the same
    folder = joint / task / "onnx"
    output = subprocess.run(
        [sys.executable, "-c", SCRIPT, *inputs],
        input=json.dumps(SEARCHES),
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert output.returncode == 0, output.stderr
    found, *printed = output.stdout.splitlines()
    assert json.loads(found) == expected
    default = model(inputs, task=task)
    assert isinstance(default, list)
    assert printed == [prediction.text for prediction in default]


def test_texts(joint: Path, model: TrainedModel):
    sentences = [*text_pairs("test", count=12)["source"], "  Siebenundsiebzig </s> und ein neues Wort "]
    check_sentences(joint, model, "translation", sentences)


def test_recordings(joint: Path, model: TrainedModel, tmp_path: Path):
    generator, files = np.random.default_rng(1), []
    for number in range(6):
        times = np.arange(int((0.4 + 0.2 * number) * RATE_HZ)) / RATE_HZ
        pitch_hz = 200 + 300 * number * (1 + np.sin(5 * times))
        samples = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ) + 0.01 * generator.standard_normal(len(times))
        files.append(str(tmp_path / f"{number}.wav"))
        soundfile.write(files[-1], np.stack([samples, 0.5 * samples], axis=1), RATE_HZ, subtype="FLOAT")
    check_sentences(joint, model, "speech_recognition", files)


def test_images(joint: Path, model: TrainedModel, tmp_path: Path):
    generator, files = np.random.default_rng(1), []
    for number, name in enumerate(("a.png", "b.jpg", "c.png", "d.jpg", "e.webp", "f.png")):
        small = generator.integers(0, 256, (6, 7 + number, 4 if number == 2 else 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((200 + 31 * number, 150), Image.Resampling.NEAREST)
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned
        files.append(str(tmp_path / name))
        image.save(files[-1], **({"exif": exif} if number == 3 else {}))
    check_sentences(joint, model, "image_captioning", files)


def test_a_recording_of_another_rate_is_refused(joint: Path, tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    folder = joint / "speech_recognition" / "onnx"
    command = [sys.executable, "infer.py", str(tmp_path / "a.wav")]
    output = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert output.returncode == 1
    assert "8000 Hz: convert it" in output.stderr and "Traceback" not in output.stderr


def test_int8_is_smaller_and_runs(joint: Path):
    run.main(["export", str(joint), "--task", "translation", "--quantize", "int8"])
    sizes = {
        name: sum(file.stat().st_size for file in (joint / "translation" / name).glob("*.onnx"))
        for name in ("onnx", "onnx-int8")
    }
    assert sizes["onnx-int8"] < 0.7 * sizes["onnx"]
    command = [sys.executable, "infer.py", "eine rote Sieben"]
    output = subprocess.run(
        command, cwd=joint / "translation" / "onnx-int8", capture_output=True, text=True, check=False
    )
    assert output.returncode == 0 and output.stdout.strip()


def test_mistakes_are_one_line(joint: Path, capsys: pytest.CaptureFixture[str]):
    def error(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            run.main(["export", *arguments])
        return capsys.readouterr().err.splitlines()[-1]

    assert "export needs a run folder" in error()
    assert "name one of them with --task, translation," in error(str(joint))
    assert "onnx exists already" in error(str(joint), "--task", "translation")
