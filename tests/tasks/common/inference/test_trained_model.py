"""Trained models in Python: every form of an input gives the prediction of its file, and so does the command."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from tasks import load, run
from tasks.common.errors import UsageError
from tasks.common.inference.prediction import Prediction
from tasks.common.inference.trained_model import TrainedModel

SENTENCE = "eine rote Sieben über einer blauen Zwei"
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> Path:
    """A joint run of four modalities, trained for a few steps."""
    data = tmp_path_factory.mktemp("data")
    save_text_pairs(data, train=160, validation=12)
    folder = tmp_path_factory.mktemp("runs") / "joint"
    sizes = ["--speech-recognition.num-scenes", "16", "--image-captioning.num-scenes", "32"]
    flags = [*sizes, "--video-to-text.num-scenes", "16", "--train.epochs", "1", "--search.max-length", "12"]
    run.main(["joint", "train", "tiny", "--translation.data", str(data), *flags, "--run", str(folder)])
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> TrainedModel:
    return load(folder)


def same(prediction: Any, expected: Prediction) -> bool:
    return prediction.text == expected.text and prediction.score == pytest.approx(expected.score, abs=1e-4)


def test_a_text_is_given_as_it_is_or_by_its_file(model: TrainedModel, tmp_path: Path):
    expected = model(SENTENCE)
    assert isinstance(expected, Prediction) and expected.score is not None and expected.name == SENTENCE
    file = tmp_path / "text.txt"
    file.write_text(f"{SENTENCE}\n", encoding="utf-8")
    with file.open("rb") as opened:
        assert same(model(opened, task="translation"), expected)
    assert same(model(file), expected)
    assert same(model(SENTENCE.encode(), task="translation"), expected)


def test_an_image_is_given_in_any_form(model: TrainedModel, tmp_path: Path):
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    image, file = Image.fromarray(pixels), tmp_path / "image.png"
    image.save(file)
    expected = model(str(file))
    assert isinstance(expected, Prediction)
    for value in (file, image, pixels):
        assert same(model(value), expected)
    assert same(model(file.read_bytes(), task="image_captioning"), expected)
    assert same(model(io.BytesIO(file.read_bytes()), task="image_captioning"), expected)


def test_sound_is_given_as_samples_with_their_rate_or_at_16_khz(model: TrainedModel, tmp_path: Path):
    samples = (0.3 * np.sin(np.arange(RATE_HZ) / 20)).astype(np.float32)
    file = tmp_path / "sound.wav"
    soundfile.write(file, samples, RATE_HZ, subtype="FLOAT")
    expected = model(file)
    assert isinstance(expected, Prediction) and expected.spans[0] is not None
    assert same(model(samples), expected)
    assert same(model((samples, RATE_HZ)), expected)
    slower = model((samples, RATE_HZ // 2))
    assert isinstance(slower, Prediction) and slower.spans[-1] is not None and slower.spans[-1][1] > 1.5


@pytest.mark.parametrize(
    "samples, rate, reason",
    [
        (np.zeros(100), 0, "sound of 0 Hz; allowed are 1000 to 1000000 Hz"),
        (np.array(1.0), RATE_HZ, r"float64 with the shape \(\)"),
        (np.zeros((2, 3, 4)), RATE_HZ, r"shape \(2, 3, 4\)"),
        (np.zeros(100, dtype=np.uint8), RATE_HZ, "allowed are int16, int32 and floats"),
        (np.zeros((2, 5000)), RATE_HZ, "which no file holds"),
        (np.full(RATE_HZ, 1e300), RATE_HZ, "holds samples that are not finite"),
    ],
)
def test_what_is_no_sound_is_refused(model: TrainedModel, samples: np.ndarray, rate: int, reason: str):
    with pytest.raises(UsageError, match=reason):
        model((samples, rate))


def test_a_video_is_given_as_its_frames(model: TrainedModel):
    frames = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    prediction = model(frames)
    assert isinstance(prediction, Prediction) and prediction.name == "array of shape (6, 32, 32, 3)"
    assert prediction.alignment is not None and prediction.score is not None


def test_a_list_keeps_its_order_and_says_which_inputs_can_not_be_used(model: TrainedModel, tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    pixels = np.zeros((16, 16, 3), dtype=np.uint8)
    predictions = model([SENTENCE, pixels, broken, b"of any kind", "hier ist eine Vier"])
    assert isinstance(predictions, list) and len(predictions) == 5
    assert predictions[3].problem and "choose one of them" in predictions[3].problem
    assert same(model("hier ist eine Vier"), predictions[4])
    for value, prediction in ((SENTENCE, predictions[0]), (pixels, predictions[1])):
        assert same(model(value), prediction)
    assert predictions[2].problem and (predictions[2].text, predictions[2].score) == ("", None)
    assert "can't be used" in predictions[2].notes[0]
    assert model([]) == []
    with pytest.raises(UsageError, match=r"broken\.png"):
        model(broken)


def test_a_name_too_long_for_a_file_keeps_no_other_input_from_being_read(model: TrainedModel, tmp_path: Path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    long, read = model(["x" * 5000 + ".png", tmp_path / "a.png"], task="image_captioning")
    assert long.problem == "can't be read (File name too long)" and read.problem is None


def test_settings_of_the_search_are_those_of_the_run_or_given(model: TrainedModel):
    prediction = model(SENTENCE, beam=4, n_best=3)
    assert isinstance(prediction, Prediction) and len(prediction.n_best) == 3
    assert prediction.n_best[0].text == prediction.text
    scores = [sentence.score for sentence in prediction.n_best]
    assert scores == sorted(scores, reverse=True) and prediction.score == scores[0]
    with pytest.raises(UsageError, match=r"search setting.*beams"):
        model(SENTENCE, beams=4)
    with pytest.raises(UsageError, match="beam is 0"):
        model(SENTENCE, beam=0)


def test_the_search_can_have_half_precision(model: TrainedModel):
    exact, half = model("eine rote Sieben"), model("eine rote Sieben", precision="bf16")
    assert half.score == pytest.approx(exact.score, abs=0.2) and half.score != exact.score
    with pytest.raises(UsageError, match=r"search\.precision is fp16, which needs a GPU"):
        model("eine rote Sieben", precision="fp16")


def test_a_prediction_has_its_alignment_and_its_plot(model: TrainedModel, tmp_path: Path):
    prediction = model(SENTENCE)
    assert isinstance(prediction, Prediction) and prediction.alignment is not None
    weights = prediction.alignment
    assert weights.shape == (len(prediction.tokens) + 1, len(SENTENCE.split()) + 1)  # both with their ends
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(weights)))
    assert model.plot(prediction, tmp_path / "plot.png") and (tmp_path / "plot.png").stat().st_size > 1000


def test_predictions_at_once_in_threads_are_those_one_after_the_other(model: TrainedModel):
    draw = np.random.default_rng(1)
    images = [Image.fromarray(draw.integers(0, 256, (40, 60, 3), dtype=np.uint8)) for _ in range(3)]
    sounds = [draw.normal(0, 0.1, RATE_HZ * length) for length in (1, 2)]
    inputs = [SENTENCE, *images, *sounds, "eine blaue Zwei", "hier ist eine Vier"]

    def outcome(value: Any) -> tuple[str, float | None]:
        prediction = model(value)
        assert isinstance(prediction, Prediction)
        return prediction.text, prediction.score

    one_by_one = [outcome(value) for value in inputs]
    with ThreadPoolExecutor(len(inputs)) as pool:
        assert list(pool.map(outcome, inputs)) == one_by_one


def test_the_command_prints_what_the_object_returns(model: TrainedModel, folder: Path, capsys):
    expected = model(SENTENCE)
    capsys.readouterr()
    run.main(["joint", "predict", str(folder), SENTENCE, "--scores"])
    assert isinstance(expected, Prediction)
    assert capsys.readouterr().out == f"1\t1\t{expected.score:.4f}\t{expected.text}\n"


def test_inputs_that_no_task_reads_or_several_do_are_refused(model: TrainedModel, tmp_path: Path):
    with pytest.raises(UsageError, match=r"an input \(bytes\).*--task|task"):
        model(b"some bytes")
    with pytest.raises(UsageError, match="translaton"):
        model(SENTENCE, task="translaton")
    with pytest.raises(UsageError, match=r"an input is int"):
        model(7, task="image_captioning")
    with pytest.raises(UsageError, match=r"array of float64 with the shape \(2, 2\)"):
        model(np.zeros((2, 2)), task="image_captioning")
    with pytest.raises(UsageError, match=r"missing\.txt can't be read"):
        model(tmp_path / "missing.txt")
    with pytest.raises(UsageError, match=r"config\.json is missing"):
        load(tmp_path)
