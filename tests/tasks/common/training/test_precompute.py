"""A frozen encoder: computed once, cached until it changes, and trained from the configured step on."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from encoders.pretrained.base import PretrainedFrontend
from tasks import run
from tasks.common.data.arrays import unpack_array
from tasks.common.inference.predictor import Predictor
from tasks.common.training.config import TrainConfig
from tasks.common.training.initialization import init_weights
from tasks.common.training.optimization import build_optimizer, pretrained_modules, set_learning_rates
from tasks.common.training.precompute import fingerprint, precompute
from tasks.speech_recognition.presets import tiny
from tasks.speech_recognition.task import SpeechRecognition as Task


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> str:
    """Save a tiny Whisper with random weights."""
    path = str(tmp_path_factory.mktemp("whisper"))
    torch.manual_seed(1)
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    sizes |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_mel_bins": 20}
    tokens = {"vocab_size": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    WhisperModel(WhisperConfig(**sizes, **tokens, dropout=0.1)).save_pretrained(path)
    WhisperFeatureExtractor(feature_size=20).save_pretrained(path)
    return path


@pytest.fixture
def task(whisper) -> Task:
    config = tiny()
    config = dataclasses.replace(config, num_scenes=15, encoder=dataclasses.replace(config.encoder, pretrained=whisper))
    task = Task(config)
    task.fit(task.load("train"))
    return task


def test_precomputed_examples_are_what_the_frontend_returns_in_the_same_order(task, monkeypatch):
    examples = task.load("train")
    frontend = task.backbone
    assert isinstance(frontend, PretrainedFrontend)
    encoded = precompute(task, frontend, examples)
    assert encoded["target"] == examples["target"]
    for row in (0, 7, 14):
        with torch.no_grad():
            states, mask = frontend(task.collate_sources([examples[row]["source"]], training=False))
        source = task.batch_sources([encoded[row]["source"]], training=True)
        assert source.precomputed
        assert_close(source.values, states, rtol=1e-2, atol=1e-2)  # cached in half precision
        assert encoded[row]["length"] == int(mask.sum())
    monkeypatch.setattr(type(frontend), "forward", None)
    assert precompute(task, frontend, examples)["source"] == encoded["source"]


def test_a_change_of_the_encoder_or_of_the_data_is_noticed(task):
    examples = task.load("validation")
    before = precompute(task, task.backbone, examples)["source"][0]
    other = task.load("test")
    assert precompute(task, task.backbone, other)["source"][0] != before
    with torch.no_grad():
        task.backbone.backbone.layer_norm.bias += 1
    after = precompute(task, task.backbone, examples)["source"][0]
    assert_close(unpack_array(after), unpack_array(before) + 1, rtol=1e-2, atol=1e-2)


def test_the_model_gives_the_same_for_raw_and_for_precomputed_sources(task):
    model = task.build_model().eval()
    examples = task.load("validation")
    encoded = precompute(task, task.backbone, examples)
    raw, cached = (
        model.encoder(task.batch_sources(part["source"][:1], training=False)) for part in (examples, encoded)
    )
    assert_close(cached.states, raw.states, rtol=1e-2, atol=1e-2)


def test_evaluation_uses_the_cached_outputs_of_a_single_frozen_encoder(task):
    model = task.build_model()
    examples = task.load("validation")
    encoded = Predictor(task, [model]).precompute_if_frozen(examples)
    assert encoded["source"][:] == precompute(task, task.backbone, examples)["source"][:]
    assert Predictor(task, [model, model]).precompute_if_frozen(examples) is examples
    task.config = dataclasses.replace(task.config, train=dataclasses.replace(task.config.train, encoder_lr=1e-4))
    assert Predictor(task, [model]).precompute_if_frozen(examples) is examples


def test_pretrained_weights_are_not_initialized_and_have_a_learning_rate_of_their_own(task):
    model = task.build_model()
    (backbone,) = pretrained_modules(model)
    before = fingerprint(backbone)
    init_weights(model, "xavier")
    assert fingerprint(backbone) == before
    config = TrainConfig(lr=1e-2, encoder_lr=1e-3, unfreeze_at=10, schedule="constant")
    optimizer = build_optimizer(model, config)
    for step, rate in ((0, 0.0), (9, 0.0), (10, 1e-4), (14, 5e-4), (19, 1e-3), (30, 1e-3)):
        set_learning_rates(model, optimizer, config, step, 100, 0)
        rates = {group["lr"] for group in optimizer.param_groups if group["pretrained"]}
        assert len(rates) == 1
        assert rates.pop() == pytest.approx(rate)
        assert {group["lr"] for group in optimizer.param_groups if not group["pretrained"]} == {1e-2}
        assert backbone.is_frozen == (rate == 0.0)


def test_a_training_that_is_shorter_than_the_freezing_fine_tunes_too(task):
    model = task.build_model()
    (backbone,) = pretrained_modules(model)
    config = TrainConfig(lr=1e-2, encoder_lr=1e-3, unfreeze_at=1000, schedule="constant")
    optimizer = build_optimizer(model, config)
    for num_steps, step, rate in ((200, 19, 0.0), (200, 20, 5e-5), (200, 39, 1e-3), (0, 500, 0.0)):
        set_learning_rates(model, optimizer, config, step, num_steps, 0)
        rates = [group["lr"] for group in optimizer.param_groups if group["pretrained"]]
        assert rates == pytest.approx([rate] * len(rates))
        assert backbone.is_frozen == (rate == 0.0)


def test_without_a_learning_rate_pretrained_weights_are_not_optimized(task):
    model = task.build_model()
    optimized = {
        id(parameter) for group in build_optimizer(model, TrainConfig()).param_groups for parameter in group["params"]
    }
    assert not optimized & {id(parameter) for parameter in task.backbone.parameters()}
    assert optimized


@pytest.mark.parametrize(
    "flags", [[], ["--train.encoder-lr", "1e-3", "--train.unfreeze-at", "2"]], ids=["frozen", "fine-tuned"]
)
def test_a_run_can_be_restored_from_its_folder_alone(flags, whisper, tmp_path, monkeypatch, capsys):
    import shutil

    monkeypatch.chdir(tmp_path)
    path = shutil.copytree(whisper, tmp_path / "whisper")
    command = ["speech_recognition", "train", "tiny", "--run", "run", "--encoder.pretrained", str(path)]
    run.main([*command, "--num-scenes", "30", "--train.epochs", "2", "--batch.max-sources", "8", *flags])
    prefix = "encoder.frontend.backbone."
    saved = load(Path("run/best.safetensors"))
    weights = {name.removeprefix(prefix): tensor for name, tensor in saved.items() if name.startswith(prefix)}
    assert weights
    pretrained = load(path / "model.safetensors")
    changed = any(not torch.equal(tensor, pretrained[f"encoder.{name}"]) for name, tensor in weights.items())
    assert changed == bool(flags)
    shutil.rmtree(path)
    run.main(["speech_recognition", "evaluate", "run", "--beam", "1"])
    assert json.loads(Path("run/evaluation/test-beam1.json").read_text())["examples"] == 3


def load(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_a_model_that_cannot_be_loaded_is_reported_in_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as leaving:
        run.main(["speech_recognition", "train", "tiny", "--encoder.pretrained", str(tmp_path / "nothing")])
    assert leaving.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--encoder.pretrained" in error
