"""Features: log-mel frames in time, normalisation that padding cannot change, and augmentation within its bounds."""

import json

import numpy as np
import pytest
import torch

from tasks.speech_recognition.features import (
    FRAMES,
    RATE,
    AugmentConfig,
    FeatureConfig,
    FeatureNormalizer,
    LogMel,
    augment,
    change_speed,
    stretch,
)

RUBBISH = 100.0  # what padding is filled with


def tone(frequency: int, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(RATE * seconds)) / RATE)).astype(np.float32)


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(RATE * seconds)).astype(np.float32)


def batch(lengths: list[int], features: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised values, none of them 0, and their mask; padding is rubbish."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.where(mask[..., None], torch.rand(*mask.shape, features) + 1, RUBBISH), mask


def longest_run(blank: torch.Tensor) -> int:
    return max(map(len, "".join("x" if cell else " " for cell in blank.tolist()).split()), default=0)


# Log-mel


def test_there_are_a_hundred_frames_a_second_and_the_same_sound_gives_the_same():
    extract = LogMel(FeatureConfig(num_mels=40))
    frames = extract(noise(2))
    assert frames.shape == (2 * FRAMES + 1, 40) and frames.dtype == np.float32
    assert np.array_equal(frames, extract(noise(2)))
    assert np.array_equal(frames, LogMel(FeatureConfig(num_mels=40))(noise(2)))


def test_a_click_is_loudest_in_the_frame_of_its_time():
    click = np.zeros(RATE, dtype=np.float32)
    click[round(0.42 * RATE)] = 1
    assert LogMel(FeatureConfig())(click).sum(axis=1).argmax() == 42


def test_a_tone_is_in_the_band_of_its_pitch():
    def mel(frequency: float) -> float:
        return 2595 * np.log10(1 + frequency / 700)

    extract = LogMel(FeatureConfig(num_mels=40))
    centres = np.linspace(mel(20), mel(RATE / 2), 42)[1:-1]
    for frequency in (300, 1000, 3000, 7000):
        nearest = np.abs(centres - mel(frequency)).argmin()
        assert extract(tone(frequency))[50].argmax() == nearest


def test_a_louder_sound_is_higher_by_the_logarithm_of_its_energy_and_silence_is_finite():
    extract = LogMel(FeatureConfig())
    assert np.allclose(extract(noise(1)) - extract(noise(1) / 2), np.log(4), atol=1e-3)
    assert np.isfinite(extract(np.zeros(RATE, dtype=np.float32))).all()


@pytest.mark.parametrize("window", [0.01, 0.025, 0.05])
def test_every_allowed_setting_reads_the_shortest_sound_at_the_highest_speed_in_bands_that_all_hear(window):
    shortest = change_speed(noise(0.1), 2.0)
    frames = LogMel(FeatureConfig(num_mels=100, window_s=window))(shortest)
    assert len(frames) == 6
    assert (np.ptp(frames, axis=0) > 0).all()


@pytest.mark.parametrize(
    "settings", [{"mels": 3}, {"mels": 101}, {"window": 0.005}, {"window": 0.2}], ids=lambda settings: str(settings)
)
def test_settings_that_make_no_features_are_refused(settings):
    with pytest.raises(ValueError, match=f"features.{next(iter(settings))} is .* allowed is"):
        FeatureConfig(**settings)


@pytest.mark.parametrize("factor", [0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch_together(factor):
    faster = change_speed(tone(500, 2), factor)
    assert len(faster) == pytest.approx(2 * RATE / factor, abs=2)
    middle = faster[1000 : RATE - 1000]
    pitch = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), n=RATE)).argmax()  # in Hz
    assert pitch == pytest.approx(500 * factor, abs=1)


# Normalisation

KINDS = ("none", "utterance", "global", "both")


def utterances() -> list[np.ndarray]:
    """Each with a mean and a deviation of its own; the last feature is always the same."""
    generator = np.random.default_rng(0)
    made = [generator.normal(-5 + number, 1 + number, (30 + 10 * number, 4)) for number in range(5)]
    for frames in made:
        frames[:, -1] = -13.815511
    return [frames.astype(np.float32) for frames in made]


def padded(matrices: list[np.ndarray], extra: int = 0, filling: float = RUBBISH) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    mask = torch.arange(int(lengths.max()) + extra) < lengths[:, None]
    values = torch.full((*mask.shape, matrices[0].shape[1]), filling)
    values[mask] = torch.from_numpy(np.concatenate(matrices))
    return values, mask


@pytest.mark.parametrize("kind", KINDS)
def test_normalisation_equals_its_formula_and_padding_becomes_zero(kind):
    expected = [frames.astype(np.float64) for frames in utterances()]
    if kind in ("utterance", "both"):
        expected = [(frames - frames.mean(axis=0)) / frames.std(axis=0).clip(1e-3) for frames in expected]
    if kind in ("global", "both"):
        every = np.concatenate(expected)
        expected = [(frames - every.mean(axis=0)) / every.std(axis=0).clip(1e-3) for frames in expected]
    values, mask = padded(utterances())
    normalize = FeatureNormalizer.fit(kind, iter(utterances()))(values, mask)
    assert np.allclose(normalize[mask].numpy(), np.concatenate(expected), atol=1e-3)
    assert (normalize[~mask] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_changes_what_is_normalised(kind):
    normalize_text = FeatureNormalizer.fit(kind, utterances())
    values, mask = padded(utterances())
    more, more_mask = padded(utterances(), extra=50, filling=-1e4)
    together = normalize_text(values, mask)
    assert torch.allclose(normalize_text(more, more_mask)[more_mask], together[mask], atol=1e-5)
    alone, alone_mask = padded(utterances()[:1])
    assert torch.allclose(normalize_text(alone, alone_mask)[0], together[0][mask[0]], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_normaliser_comes_back_from_json_as_it_was(kind):
    normalize_text = FeatureNormalizer.fit(kind, utterances())
    again = FeatureNormalizer.from_state_dict(json.loads(json.dumps(normalize_text.state())))
    assert torch.equal(again(*padded(utterances())), normalize_text(*padded(utterances())))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_feature_that_never_changes_does_not_explode(kind):
    values, mask = padded(utterances())
    assert FeatureNormalizer.fit(kind, utterances())(values, mask)[..., -1].abs().max() < 0.1


# Augmentation


def test_augmentation_that_is_switched_off_changes_nothing():
    values, mask = batch([30, 20])
    for off in (
        AugmentConfig(num_frequency_masks=0, num_time_masks=0),
        AugmentConfig(frequency_width=0.0, time_width=0.0),
    ):
        same, same_mask = augment(values, mask, off)
        assert torch.equal(same, values) and torch.equal(same_mask, mask)


def test_a_seed_fixes_what_is_drawn_and_each_draw_is_another():
    values, mask = batch([300, 200])
    config = AugmentConfig(stretch=0.2)

    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return augment(values, mask, config)[0]

    assert torch.equal(draw(1), draw(1))
    assert draw(1).shape != draw(2).shape or not torch.equal(draw(1), draw(2))


def test_padding_never_changes_what_is_augmented():
    values, mask = batch([90, 60])
    more = torch.nn.functional.pad(values, (0, 0, 0, 40), value=-RUBBISH)
    more_mask = torch.nn.functional.pad(mask, (0, 40))
    config = AugmentConfig(stretch=0.3)
    torch.manual_seed(1)
    expected, expected_mask = augment(values, mask, config)
    torch.manual_seed(1)
    got, got_mask = augment(more, more_mask, config)
    assert torch.equal(got[got_mask], expected[expected_mask])


@pytest.mark.parametrize("masks", [1, 3])
def test_time_masks_blank_no_more_than_their_share_of_each_utterance(masks):
    lengths, width, largest = [200, 20], 0.2, [0, 0]
    config = AugmentConfig(num_frequency_masks=0, num_time_masks=masks, time_width=width)
    for _ in range(200):
        values, mask = batch(lengths)
        blanked, same_mask = augment(values, mask, config)
        assert torch.equal(same_mask, mask)
        for row, length in enumerate(lengths):
            blank = (blanked[row, :length] == 0).all(dim=1)
            assert torch.equal(blanked[row, :length][~blank], values[row, :length][~blank])
            assert blank.sum() <= masks * width * length + 1e-6
            if masks == 1:
                assert longest_run(blank) == blank.sum()
            largest[row] = max(largest[row], longest_run(blank))
    assert largest[1] >= width * lengths[1]  # and the whole share is used


def test_frequency_masks_blank_bands_for_the_whole_utterance():
    config = AugmentConfig(num_time_masks=0, num_frequency_masks=1, frequency_width=0.25)
    seen = torch.zeros(40, dtype=torch.bool)
    for _ in range(200):
        values, mask = batch([30, 30, 30], features=40)
        blanked, _ = augment(values, mask, config)
        for row in range(3):
            blank = (blanked[row] == 0).all(dim=0)
            assert longest_run(blank) == blank.sum() <= 10
            assert torch.equal(blanked[row][:, ~blank], values[row][:, ~blank])
            seen |= blank
    assert seen.float().mean() > 0.9  # every place has its turn


def test_stretching_equals_linear_interpolation_of_each_utterance():
    lengths = [50, 21, 10]
    values, mask = batch(lengths, features=3)
    stretched, stretched_mask = stretch(values, mask, 0.4)
    for row, length in enumerate(lengths):
        now = int(stretched_mask[row].sum())
        for feature in range(3):
            expected = np.interp(np.linspace(0, length - 1, now), range(length), values[row, :length, feature].numpy())
            assert np.allclose(stretched[row, :now, feature].numpy(), expected, atol=1e-4)
        assert (stretched[row, now:] == 0).all()
    assert stretched_mask.size(1) == stretched_mask.sum(dim=1).max()


def test_stretching_draws_an_own_factor_for_each_utterance_from_the_whole_range():
    values, mask = batch([1000] * 400, features=1)
    _, stretched = stretch(values, mask, 0.1)
    lengths = stretched.sum(dim=1)
    assert 900 <= lengths.min() < 905 and 1095 < lengths.max() <= 1100
    assert lengths.float().mean() == pytest.approx(1000, abs=15)


@pytest.mark.parametrize("settings", [{"stretch": 0.9}, {"speeds": ()}, {"speeds": (0.1,)}, {"time_masks": -1}])
def test_augmentation_out_of_bounds_is_refused(settings):
    with pytest.raises(ValueError, match=r"augment\..* allowed is"):
        AugmentConfig(**settings)
