"""Pretrained speech models: equality with their libraries, padding, freezing, loading and configurations."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch.nn.utils.rnn import pad_sequence
from torch.testing import assert_close

from encoders.base import SourceBatch
from encoders.pretrained.speech import (
    HOP_LENGTH,
    SAMPLE_RATE_HZ,
    PretrainedSpeech,
    load_speech_model,
    speech_model_from_config,
)
from encoders.recurrent import RecurrentEncoder
from encoders.speech import SpeechEncoder
from tasks.common.extras import missing_extra
from tasks.common.training.precompute import fingerprint

DIM = 16
NUM_MELS, NUM_POSITIONS = 8, 30
SAMPLES = [25 * HOP_LENGTH, 9 * HOP_LENGTH, 14 * HOP_LENGTH]


def waveform_config(kind: str, norm: str):
    config = {
        "wav2vec2": transformers.Wav2Vec2Config,
        "hubert": transformers.HubertConfig,
        "wavlm": transformers.WavLMConfig,
    }[kind]
    return config(
        hidden_size=DIM,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=DIM,
        conv_dim=[DIM] * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        layerdrop=0.5,
    )


def save_waveform(folder: Path, kind: str, norm: str, normalize: bool = True) -> str:
    transformers.AutoModel.from_config(waveform_config(kind, norm)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize).save_pretrained(folder)
    return str(folder)


def save_whisper(folder: Path) -> str:
    config = transformers.WhisperConfig(
        vocab_size=8,
        num_mel_bins=NUM_MELS,
        d_model=DIM,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=DIM,
        decoder_ffn_dim=DIM,
        max_source_positions=NUM_POSITIONS,
        max_target_positions=4,
        dropout=0.1,
        encoder_layerdrop=0.5,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    transformers.WhisperModel(config).half().save_pretrained(folder)  # as many published models are
    transformers.WhisperFeatureExtractor(feature_size=NUM_MELS).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def make_model(tmp_path):
    """Save a tiny random model and load it."""

    def make(kind: str) -> PretrainedSpeech:
        family, _, norm = kind.partition("-")
        if family == "whisper":
            return load_speech_model(save_whisper(tmp_path))
        return load_speech_model(save_waveform(tmp_path, family, norm))

    return make


KINDS = [
    "whisper",
    *(f"{family}-{norm}" for family in ("wav2vec2", "hubert", "wavlm") for norm in ("group", "layer")),
]
every_kind = pytest.mark.parametrize("kind", KINDS)


def sound(samples: int) -> np.ndarray:
    return (0.1 * torch.randn(samples) + 0.01).numpy()


def batch(model: PretrainedSpeech, sounds: list[np.ndarray], padding_value: float = 0.0) -> SourceBatch:
    frames = [torch.from_numpy(model.preprocessor(samples)) for samples in sounds]
    values = pad_sequence(frames, batch_first=True, padding_value=padding_value)
    return SourceBatch(values, torch.arange(values.size(1)) < torch.tensor([len(rows) for rows in frames])[:, None])


# ── Frames and states ───────────────────────────────────────────────────────────────────────────────────────


@every_kind
def test_preprocessing_gives_a_hundred_frames_per_second_and_is_deterministic(kind, make_model):
    model = make_model(kind)
    for samples, frames in ((1600, 10), (1601, 11), (1759, 11), (1760, 11), (7, 3)):
        wave = sound(samples)
        rows = model.preprocessor(wave)
        assert rows.shape == (frames, model.num_features)
        assert rows.dtype == np.float32
        assert np.array_equal(rows, pickle.loads(pickle.dumps(model.preprocessor))(wave))


@every_kind
def test_padding_changes_no_real_state(kind, make_model):
    model = make_model(kind)
    sounds = [sound(samples) for samples in SAMPLES]
    states, mask = model(batch(model, sounds, padding_value=100.0))
    assert states.shape == (*mask.shape, model.dim)
    for row, samples in enumerate(sounds):
        single, real = model(batch(model, [samples]))
        assert real.all()
        assert mask[row].sum() == single.size(1)
        assert mask[row, : single.size(1)].all()
        assert_close(states[row, : single.size(1)], single[0], atol=2e-5, rtol=1e-4)


@every_kind
def test_lengths_agree_with_the_mask(kind, make_model):
    model = make_model(kind)
    for frames in range(3, 14):
        mask = model(batch(model, [sound(HOP_LENGTH * frames)]))[1]
        assert model.output_lengths(torch.tensor([frames])).tolist() == [mask.size(1)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.partition("-")[0] in ("wav2vec2", "hubert", "wavlm")])
def test_a_waveform_model_equals_transformers(kind, make_model, tmp_path):
    model = make_model(kind)
    wave = sound(SAMPLES[0])
    reference = transformers.AutoModel.from_pretrained(tmp_path).eval()
    inputs = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)(
        wave, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
    )
    assert_close(torch.from_numpy(model.preprocessor(wave)).flatten(), inputs.input_values[0])
    assert_close(model(batch(model, [wave]))[0], reference(inputs.input_values).last_hidden_state)


def test_whisper_equals_transformers_on_sound_that_needs_no_padding(make_model, tmp_path):
    model = make_model("whisper")
    wave = sound(2 * NUM_POSITIONS * HOP_LENGTH)
    reference = transformers.AutoModel.from_pretrained(tmp_path).float().eval().get_encoder()
    features = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)(
        wave, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", padding=False
    )
    assert_close(torch.from_numpy(model.preprocessor(wave)).T[None], features.input_features)
    assert_close(model(batch(model, [wave]))[0], reference(features.input_features).last_hidden_state)


def test_samples_are_not_normalized_for_a_model_trained_without_normalization(tmp_path):
    model = load_speech_model(save_waveform(tmp_path, "wav2vec2", "layer", normalize=False))
    wave = sound(SAMPLES[0])
    assert np.array_equal(model.preprocessor(wave).flatten(), wave)


def test_whisper_refuses_sound_longer_than_its_positions(make_model):
    model = make_model("whisper")
    with pytest.raises(
        ValueError, match=r"the sound lasts 0\.61 s; allowed for this model are at most 0\.6 s: split it"
    ):
        model.preprocessor(sound(2 * NUM_POSITIONS * HOP_LENGTH + 1))


# ── Freezing ────────────────────────────────────────────────────────────────────────────────────────────────


@every_kind
def test_a_frozen_model_is_deterministic_in_training_and_gets_no_gradient(kind, make_model):
    model = make_model(kind)
    encoder = SpeechEncoder(model, lambda dim, layers, is_top: RecurrentEncoder(dim, 3, num_layers=layers)).train()
    source = batch(model, [sound(SAMPLES[0])])
    assert not any(module.training for module in model.modules())
    assert torch.equal(model(source)[0], model(source)[0])
    encoder(source).summary.sum().backward()
    assert all(parameter.grad is None for parameter in model.parameters())


@every_kind
def test_an_unfrozen_model_has_dropout_and_all_its_parameters_get_a_gradient(kind, make_model):
    model = make_model(kind)
    model.set_frozen(False)
    source = batch(model, [sound(samples) for samples in SAMPLES])
    states = model(source)[0]
    assert not torch.equal(states, model(source)[0])
    states.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == ("embed_positions" not in name), name


@every_kind
def test_freezing_again_restores_the_frozen_behavior(kind, make_model):
    model = make_model(kind)
    source = batch(model, [sound(SAMPLES[0])])
    before = model(source)[0]
    model.set_frozen(False)
    model.set_frozen(True)
    assert torch.equal(model.train()(source)[0], before)
    assert not any(parameter.requires_grad for parameter in model.parameters())


# ── Loading and configurations ─────────────────────────────────────────────────────────────────────────────────────


@every_kind
def test_a_model_is_built_again_from_json_and_its_weights(kind, make_model):
    model = make_model(kind)
    other = speech_model_from_config(json.loads(json.dumps(model.to_config())))
    assert fingerprint(other) != fingerprint(model)
    other.load_state_dict(model.state_dict())
    assert fingerprint(other) == fingerprint(model)
    wave = sound(SAMPLES[0])
    assert torch.equal(other(batch(other, [wave]))[0], model(batch(model, [wave]))[0])


def test_the_fingerprint_changes_with_a_weight_and_with_the_preprocessing(make_model, tmp_path):
    model = make_model("wav2vec2-layer")
    before = fingerprint(model)
    assert fingerprint(load_speech_model(str(tmp_path))) == before
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    assert fingerprint(load_speech_model(str(tmp_path))) != before
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3
    assert fingerprint(model) != before


def test_loading_prints_nothing(make_model, capfd):
    make_model("hubert-group")
    make_model("whisper")
    assert capfd.readouterr() == ("", "")


def test_other_models_are_refused_in_one_line(tmp_path):
    transformers.BertConfig().save_pretrained(tmp_path)
    for name, reason in (
        (str(tmp_path), "its type is bert; allowed are wav2vec2, hubert, wavlm and whisper"),
        (str(tmp_path / "nothing"), ""),
    ):
        with pytest.raises(ValueError, match=f"the speech model {name} can't be loaded: {reason}") as caught:
            load_speech_model(name)
        assert "\n" not in str(caught.value)


def test_missing_weights_are_an_error(tmp_path):
    save_waveform(tmp_path, "wav2vec2", "layer")
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    config.num_hidden_layers = 3
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"can't be loaded: it has no weights for encoder\.layers\.2"):
        load_speech_model(str(tmp_path))


def test_another_sample_rate_is_refused(tmp_path):
    save_waveform(tmp_path, "wav2vec2", "layer")
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="its sample rate is 8000 Hz; allowed is 16000"):
        load_speech_model(str(tmp_path))


def test_without_transformers_the_error_names_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        load_speech_model(str(tmp_path))
    assert missing_extra(caught.value) == (
        'transformers is not installed: pip install "multimodal-seq2seq[pretrained]"'
    )
