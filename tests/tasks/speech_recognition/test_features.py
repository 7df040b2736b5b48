"""Features: log-mel frames, normalization that padding can't change, and augmentation within its limits."""

import json

import numpy as np
import pytest
import torch

from tasks.speech_recognition.config import FeatureConfig, SpeechAugmentConfig
from tasks.speech_recognition.features import (
    FRAMES_PER_SECOND,
    SAMPLE_RATE_HZ,
    FeatureNormalizer,
    LogMel,
    append_deltas,
    augment_frames,
    change_speed,
    stretch,
)

PADDING = 100.0  # the value of padding, so that any use of it is noticed


def tone(frequency: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(SAMPLE_RATE_HZ * seconds)) / SAMPLE_RATE_HZ)).astype(
        np.float32
    )


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(SAMPLE_RATE_HZ * seconds)).astype(np.float32)


def batch(lengths: list[int], features: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Make normalized values, none of them 0, and their mask."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.where(mask[..., None], torch.rand(*mask.shape, features) + 1, PADDING), mask


def longest_run(is_masked: torch.Tensor) -> int:
    return max(map(len, "".join("x" if value else " " for value in is_masked.tolist()).split()), default=0)


# ── Log-mel features ────────────────────────────────────────────────────────────────────────────────────────


def test_there_are_a_hundred_frames_per_second_and_features_are_deterministic():
    log_mel = LogMel(FeatureConfig(num_mels=40))
    frames = log_mel(noise(2))
    assert frames.shape == (2 * FRAMES_PER_SECOND + 1, 40) and frames.dtype == np.float32
    assert np.array_equal(frames, log_mel(noise(2)))
    assert np.array_equal(frames, LogMel(FeatureConfig(num_mels=40))(noise(2)))


def test_a_click_is_loudest_in_the_frame_of_its_time():
    click = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)
    click[round(0.42 * SAMPLE_RATE_HZ)] = 1
    assert LogMel(FeatureConfig())(click).sum(axis=1).argmax() == 42


def test_a_tone_is_in_the_band_of_its_frequency():
    def mel(frequency: float) -> float:
        return 2595 * np.log10(1 + frequency / 700)

    log_mel = LogMel(FeatureConfig(num_mels=40))
    centers = np.linspace(mel(20), mel(SAMPLE_RATE_HZ / 2), 42)[1:-1]
    for frequency in (300, 1000, 3000, 7000):
        nearest = np.abs(centers - mel(frequency)).argmin()
        assert log_mel(tone(frequency))[50].argmax() == nearest


def test_features_equal_those_of_torchaudio():
    rising = (0.3 * np.sin(np.cumsum(np.linspace(0, 2, 4800)))).astype(np.float32)
    expected = {  # of its MelSpectrogram with f_min 20, for four frames and bands
        20: [
            [6.001283, -9.564820, -13.815511, -13.815511],
            [-13.646483, -2.556652, -9.155783, -13.815511],
            [-13.815511, -13.815511, -3.907515, -13.815511],
            [-6.902449, -6.238782, -5.260119, -2.550818],
        ],
        80: [
            [4.814973, -10.192443, -13.815511, -13.815511],
            [-13.815511, -8.653569, -10.112358, -13.815511],
            [-13.815511, -13.815511, -10.830690, -13.815511],
            [-8.474602, -7.745388, -6.689404, -4.116622],
        ],
    }
    for num_mels, values in expected.items():
        frames = LogMel(FeatureConfig(num_mels=num_mels))(rising)
        bands = [0, num_mels // 4, num_mels // 2, num_mels - 1]
        assert np.allclose(frames[np.ix_([0, 7, 15, 29], bands)], values, atol=1e-4)


def test_features_are_logarithms_of_energy_and_silence_is_finite():
    log_mel = LogMel(FeatureConfig())
    assert np.allclose(log_mel(noise(1)) - log_mel(noise(1) / 2), np.log(4), atol=1e-3)
    assert np.isfinite(log_mel(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))).all()


@pytest.mark.parametrize("window", [0.01, 0.025, 0.05])
def test_every_allowed_window_works_for_the_shortest_sound_at_the_highest_speed_without_empty_bands(window):
    shortest = change_speed(noise(0.1), 2.0)
    frames = LogMel(FeatureConfig(num_mels=100, window_s=window))(shortest)
    assert len(frames) == 6
    assert (np.ptp(frames, axis=0) > 0).all()


@pytest.mark.parametrize(
    "settings", [{"num_mels": 3}, {"num_mels": 101}, {"window_s": 0.005}, {"window_s": 0.2}], ids=str
)
def test_invalid_settings_of_features_are_refused(settings):
    with pytest.raises(ValueError, match=f"features.{next(iter(settings))} is .* allowed is"):
        FeatureConfig(**settings)


@pytest.mark.parametrize("factor", [0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch_together(factor):
    faster = change_speed(tone(500, 2), factor)
    assert len(faster) == pytest.approx(2 * SAMPLE_RATE_HZ / factor, abs=2)
    middle = faster[1000 : SAMPLE_RATE_HZ - 1000]
    pitch = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), n=SAMPLE_RATE_HZ)).argmax()  # in Hz
    assert pitch == pytest.approx(500 * factor, abs=1)


# ── Normalization ───────────────────────────────────────────────────────────────────────────────────────────

KINDS = ("none", "utterance", "global", "both")


def utterances() -> list[np.ndarray]:
    """Make utterances with different means and standard deviations; the last feature is constant."""
    generator = np.random.default_rng(0)
    matrices = [generator.normal(-5 + number, 1 + number, (30 + 10 * number, 4)) for number in range(5)]
    for frames in matrices:
        frames[:, -1] = -13.815511
    return [frames.astype(np.float32) for frames in matrices]


def padded(matrices: list[np.ndarray], extra: int = 0, filling: float = PADDING) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    mask = torch.arange(int(lengths.max()) + extra) < lengths[:, None]
    values = torch.full((*mask.shape, matrices[0].shape[1]), filling)
    values[mask] = torch.from_numpy(np.concatenate(matrices))
    return values, mask


@pytest.mark.parametrize("kind", KINDS)
def test_normalization_equals_its_formula_and_padding_becomes_zero(kind):
    expected = [frames.astype(np.float64) for frames in utterances()]
    if kind in ("utterance", "both"):
        expected = [(frames - frames.mean(axis=0)) / frames.std(axis=0).clip(1e-3) for frames in expected]
    if kind in ("global", "both"):
        all_frames = np.concatenate(expected)
        expected = [(frames - all_frames.mean(axis=0)) / all_frames.std(axis=0).clip(1e-3) for frames in expected]
    values, mask = padded(utterances())
    normalized = FeatureNormalizer.fit(kind, iter(utterances()))(values, mask)
    assert np.allclose(normalized[mask].numpy(), np.concatenate(expected), atol=1e-3)
    assert (normalized[~mask] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_changes_normalization(kind):
    normalizer = FeatureNormalizer.fit(kind, utterances())
    values, mask = padded(utterances())
    more, more_mask = padded(utterances(), extra=50, filling=-1e4)
    together = normalizer(values, mask)
    assert torch.allclose(normalizer(more, more_mask)[more_mask], together[mask], atol=1e-5)
    alone, alone_mask = padded(utterances()[:1])
    assert torch.allclose(normalizer(alone, alone_mask)[0], together[0][mask[0]], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_normalizer_is_restored_from_json(kind):
    normalizer = FeatureNormalizer.fit(kind, utterances())
    restored = FeatureNormalizer.from_state_dict(json.loads(json.dumps(normalizer.state_dict())))
    assert torch.equal(restored(*padded(utterances())), normalizer(*padded(utterances())))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_constant_feature_is_not_amplified(kind):
    values, mask = padded(utterances())
    assert FeatureNormalizer.fit(kind, utterances())(values, mask)[..., -1].abs().max() < 0.1


# ── Deltas ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_deltas_are_the_slopes_of_the_features_and_of_their_slopes():
    time = np.arange(20, dtype=np.float32)[:, None]
    rising, squared = 3 * time, time**2
    frames = append_deltas(np.concatenate([rising, squared], axis=1), 2)
    assert frames.shape == (20, 6) and frames.dtype == np.float32
    assert np.allclose(frames[2:-2, 2], 3) and np.allclose(frames[2:-2, 3], 2 * time[2:-2, 0], atol=1e-4)
    assert np.allclose(frames[4:-4, 4], 0, atol=1e-5) and np.allclose(frames[4:-4, 5], 2, atol=1e-4)
    assert np.array_equal(append_deltas(frames, 0), frames)


def test_deltas_of_the_shortest_utterances_are_finite():
    for length in (1, 2, 4):
        frames = append_deltas(np.ones((length, 3), dtype=np.float32), 2)
        assert frames.shape == (length, 9) and not frames[:, 3:].any()


# ── Augmentation ────────────────────────────────────────────────────────────────────────────────────────────


def test_augmentation_that_is_turned_off_changes_nothing():
    values, mask = batch([30, 20])
    for off in (
        SpeechAugmentConfig(num_frequency_masks=0, num_time_masks=0),
        SpeechAugmentConfig(frequency_width=0.0, time_width=0.0),
    ):
        same, same_mask = augment_frames(values, mask, off)
        assert torch.equal(same, values) and torch.equal(same_mask, mask)


def test_the_seed_determines_the_augmentation():
    values, mask = batch([300, 200])
    config = SpeechAugmentConfig(stretch=0.2)

    def augmented(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return augment_frames(values, mask, config)[0]

    assert torch.equal(augmented(1), augmented(1))
    assert augmented(1).shape != augmented(2).shape or not torch.equal(augmented(1), augmented(2))


def test_padding_never_changes_augmentation():
    values, mask = batch([90, 60])
    more = torch.nn.functional.pad(values, (0, 0, 0, 40), value=-PADDING)
    more_mask = torch.nn.functional.pad(mask, (0, 40))
    config = SpeechAugmentConfig(stretch=0.3)
    torch.manual_seed(1)
    expected, expected_mask = augment_frames(values, mask, config)
    torch.manual_seed(1)
    got, got_mask = augment_frames(more, more_mask, config)
    assert torch.equal(got[got_mask], expected[expected_mask])


def test_a_feature_is_masked_together_with_its_deltas():
    values, mask = batch([40, 40], features=3 * 8)
    config = SpeechAugmentConfig(num_frequency_masks=1, frequency_width=0.5, num_time_masks=0)
    torch.manual_seed(1)
    masked = augment_frames(values, mask, config, num_planes=3)[0].unflatten(2, (3, 8)) == 0
    assert masked.any() and not masked.all(dim=-1).any()
    assert (masked == masked[:, :, :1]).all()


@pytest.mark.parametrize("num_masks", [1, 3])
def test_time_masks_cover_no_more_than_their_share_of_each_utterance(num_masks):
    lengths, width, largest = [200, 20], 0.2, [0, 0]
    config = SpeechAugmentConfig(num_frequency_masks=0, num_time_masks=num_masks, time_width=width)
    for _ in range(200):
        values, mask = batch(lengths)
        masked, same_mask = augment_frames(values, mask, config)
        assert torch.equal(same_mask, mask)
        for row, length in enumerate(lengths):
            is_masked = (masked[row, :length] == 0).all(dim=1)
            assert torch.equal(masked[row, :length][~is_masked], values[row, :length][~is_masked])
            assert is_masked.sum() <= num_masks * width * length + 1e-6
            if num_masks == 1:
                assert longest_run(is_masked) == is_masked.sum()
            largest[row] = max(largest[row], longest_run(is_masked))
    assert largest[1] >= width * lengths[1]  # the whole share is used


def test_frequency_masks_cover_bands_for_the_whole_utterance():
    config = SpeechAugmentConfig(num_time_masks=0, num_frequency_masks=1, frequency_width=0.25)
    covered = torch.zeros(40, dtype=torch.bool)
    for _ in range(200):
        values, mask = batch([30, 30, 30], features=40)
        masked, _ = augment_frames(values, mask, config)
        for row in range(3):
            is_masked = (masked[row] == 0).all(dim=0)
            assert longest_run(is_masked) == is_masked.sum() <= 10
            assert torch.equal(masked[row][:, ~is_masked], values[row][:, ~is_masked])
            covered |= is_masked
    assert covered.float().mean() > 0.9  # masks occur everywhere


def test_stretching_equals_linear_interpolation_of_each_utterance():
    lengths = [50, 21, 10]
    values, mask = batch(lengths, features=3)
    stretched, stretched_mask = stretch(values, mask, 0.4)
    for row, length in enumerate(lengths):
        new_length = int(stretched_mask[row].sum())
        for feature in range(3):
            expected = np.interp(
                np.linspace(0, length - 1, new_length), range(length), values[row, :length, feature].numpy()
            )
            assert np.allclose(stretched[row, :new_length, feature].numpy(), expected, atol=1e-4)
        assert (stretched[row, new_length:] == 0).all()
    assert stretched_mask.size(1) == stretched_mask.sum(dim=1).max()


def test_stretching_samples_a_factor_for_each_utterance_from_the_whole_range():
    values, mask = batch([1000] * 400, features=1)
    _, stretched = stretch(values, mask, 0.1)
    lengths = stretched.sum(dim=1)
    assert 900 <= lengths.min() < 905 and 1095 < lengths.max() <= 1100
    assert lengths.float().mean() == pytest.approx(1000, abs=15)


@pytest.mark.parametrize("settings", [{"stretch": 0.9}, {"speeds": ()}, {"speeds": (0.1,)}, {"num_time_masks": -1}])
def test_invalid_settings_of_augmentation_are_refused(settings):
    with pytest.raises(ValueError, match=r"augment\..* allowed is"):
        SpeechAugmentConfig(**settings)


def test_settings_of_masks_without_effect_are_listed():
    assert SpeechAugmentConfig().unused_settings() == {}
    without_masks = SpeechAugmentConfig(num_time_masks=0, num_frequency_masks=0)
    assert set(without_masks.unused_settings()) == {"time_width", "frequency_width"}
