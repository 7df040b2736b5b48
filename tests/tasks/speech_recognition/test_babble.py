"""Babble: its loudness, what it is made of, and its variants in training."""

import io

import numpy as np
import pytest
import soundfile

from tasks.common.data.media_files import MediaError
from tasks.speech_recognition.babble import NUM_TALKERS, Babble, add_noise
from tasks.speech_recognition.features import SAMPLE_RATE_HZ


def file_of(samples: np.ndarray) -> dict:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="FLOAT")
    return {"path": None, "bytes": file.getvalue()}


def tone(frequency_hz: int, seconds: float = 0.5, amplitude: float = 0.3) -> np.ndarray:
    time = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def loudest_frequencies(samples: np.ndarray, count: int) -> set[int]:
    spectrum = np.abs(np.fft.rfft(samples))
    return {round(place * SAMPLE_RATE_HZ / len(samples)) for place in np.argsort(spectrum)[-count:]}


@pytest.mark.parametrize("snr_db", [20.0, 0.0, -10.0])
def test_noise_has_its_energy(snr_db):
    signal, noise = tone(440), np.random.default_rng(0).normal(size=8000)
    added = add_noise(signal, noise, snr_db) - signal
    assert 10 * np.log10(np.square(signal).mean() / np.square(added).mean()) == pytest.approx(snr_db, abs=1e-3)
    assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1, abs=1e-5)


def test_babble_is_several_other_recordings_equally_loud_and_the_same_every_time():
    frequencies = [200, 400, 600, 800, 1000, 1200]
    recordings = [file_of(tone(each, amplitude=0.02 * (1 + n))) for n, each in enumerate(frequencies)]
    babble = Babble(recordings, (0.0, 10.0))
    signal = tone(frequencies[2])
    first, second = (noisy - signal for noisy in babble(signal, 2))
    talkers = loudest_frequencies(first, NUM_TALKERS)
    assert talkers < {*frequencies} - {frequencies[2]}
    spectrum = np.abs(np.fft.rfft(first))[[round(each * len(first) / SAMPLE_RATE_HZ) for each in talkers]]
    assert spectrum.max() / spectrum.min() == pytest.approx(1, rel=0.01)
    assert np.square(first).mean() / np.square(second).mean() == pytest.approx(10, rel=1e-3)
    assert all((again == noisy).all() for again, noisy in zip(babble(signal, 2), babble(signal, 2), strict=True))


def test_short_recordings_are_repeated():
    (noisy,) = Babble([file_of(tone(440)), file_of(tone(800, seconds=0.2))], (0.0,))(tone(440), 0)
    added = noisy - tone(440)
    assert np.square(added[-2000:]).mean() == pytest.approx(np.square(added[:2000]).mean(), rel=0.05)


def test_unusable_recordings_are_passed_over():
    broken, silent = {"path": None, "bytes": b"no sound"}, file_of(np.zeros(8000, dtype=np.float32))
    (noisy,) = Babble([file_of(tone(440)), broken, silent, file_of(tone(800))], (0.0,))(tone(440), 0)
    assert loudest_frequencies(noisy - tone(440), 1) == {800}
    with pytest.raises(MediaError, match="no other recording"):
        Babble([file_of(tone(440)), broken], (0.0,))(tone(440), 0)
