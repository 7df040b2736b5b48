"""Segments of long recordings: what is spoken is found, split and read, in the memory of a segment."""

import io
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from tasks.common.data.media_files import MediaError
from tasks.speech_recognition import sound as sound_module
from tasks.speech_recognition.segments import read_segments
from tasks.speech_recognition.sound import read_sound

RATE = 16_000


def noise(rate: int, seconds: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(rate * seconds)).astype(np.float32)


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def split(samples: np.ndarray, rate: int, max_duration_s: float) -> list[tuple[float, float]]:
    """Return begin and end of each segment of a recording, after checking that its samples are those between them."""
    read = read_segments(wav(samples, rate), rate, max_duration_s, np.copy)
    for (start, end), segment in read:
        assert np.array_equal(segment, samples[round(start * rate) : round(end * rate)])
    return [span for span, _ in read]


@pytest.fixture(autouse=True)
def _block_size(monkeypatch) -> None:
    """Read blocks of four seconds, so that segments begin and end anywhere in them."""
    monkeypatch.setattr(sound_module, "BLOCK_SIZE", 64_000)


def recording(parts: list[tuple[float, float]], background: float = 0.001) -> np.ndarray:
    """Make noise of several loudnesses in turn, given as (seconds, loudness), over a background."""
    loudness = np.concatenate([np.full(round(seconds * RATE), loud) for seconds, loud in parts])
    sound = noise(RATE, len(loudness) / RATE) * loudness
    return (sound + background * noise(RATE, len(loudness) / RATE)[::-1]).astype(np.float32)


def are_close(segments: list[tuple[float, float]], expected: list[tuple[float, float]]) -> bool:
    return len(segments) == len(expected) and np.allclose(segments, expected, atol=0.021)


@pytest.mark.parametrize("background", [0.0, 0.001, 0.05])
def test_pauses_separate_segments_for_any_background(background):
    sound = recording([(1, 0), (2, 1), (1, 0), (2, 1), (1, 0)], background)
    assert are_close(split(sound, RATE, 3), [(0.9, 3.1), (3.9, 6.1)])


def test_neighbors_are_joined_while_they_fit():
    sound = recording([(1, 0), *[(1, 1), (0.5, 0)] * 4])
    assert are_close(split(sound, RATE, 3), [(0.9, 3.6), (3.9, 6.6)])


def test_short_pauses_do_not_separate():
    sound = recording([(1, 0), (1, 1), (0.2, 0), (1, 1), (0.4, 0), (1, 1), (1, 0)])
    assert are_close(split(sound, RATE, 2.5), [(0.9, 3.3), (3.5, 4.7)])


def test_speech_without_a_pause_is_split_where_it_is_least_loud():
    sound = recording([(1, 0), (1.4, 1), (0.1, 0.2), (2, 1), (1, 0)])
    segments = split(sound, RATE, 2)
    assert segments[0] == pytest.approx((0.9, 2.45), abs=0.06)
    assert segments[1][0] == segments[0][1]
    assert segments[-1][1] == pytest.approx(4.6, abs=0.02)
    assert all(end - start <= 2 + 1e-9 for start, end in segments)


def test_segments_contain_all_speech_in_order_and_are_never_too_long(monkeypatch):
    generator = np.random.default_rng(1)
    parts = [(float(generator.uniform(0.1, 3)), float(loud)) for loud in np.tile([1, 0], 40)]
    sound, ends = recording(parts), np.cumsum([seconds for seconds, _ in parts])
    for max_duration_s, block_size in ((1, 64_000), (2.5, 7777), (10, 1_000_000)):
        monkeypatch.setattr(sound_module, "BLOCK_SIZE", block_size)
        segments = split(sound, RATE, max_duration_s)
        assert all(0 <= start < end <= len(sound) / RATE for start, end in segments)
        assert all(end - start <= max_duration_s + 1e-9 for start, end in segments)
        assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(segments))
        times = np.arange(0, len(sound) / RATE, 0.05)
        is_speech = np.array([parts[np.searchsorted(ends, at, side="right")][1] > 0 for at in times])
        is_covered = np.array([any(start <= at <= end for start, end in segments) for at in times])
        assert is_covered[is_speech].all()
        assert not is_covered.all()


def test_a_word_in_a_long_silence_is_found_and_silence_has_no_segments():
    sound = recording([(60, 0), (0.5, 1), (60, 0)])
    assert are_close(split(sound, RATE, 10), [(59.9, 60.6)])
    assert split(recording([(60, 0)]), RATE, 10) == []


def test_a_recording_that_is_short_enough_is_one_segment_including_silence():
    sound = recording([(1, 0), (1, 1), (1, 0)])
    assert split(sound, RATE, 3) == [(0.0, 3.0)]


def test_times_are_right_at_rates_that_ticks_do_not_divide():
    rate = 11_025
    sound = np.tile(np.concatenate([noise(rate, 5), 0.001 * noise(rate, 1)]), 100)
    segments = split(sound, rate, 5.5)
    assert segments[-1] == pytest.approx((593.9, 599.1), abs=0.03)


def test_an_hour_is_read_and_split_within_seconds_in_the_memory_of_its_content(tmp_path):
    minute = np.concatenate([noise(8000, 55), np.zeros(5 * 8000, dtype=np.float32)])
    soundfile.write(tmp_path / "hour.wav", np.tile(minute, 60), 8000)
    start = time.perf_counter()
    tracemalloc.start()
    spans = [span for span, _ in read_segments(tmp_path / "hour.wav", 8000, 20, len)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 20
    assert sum(end - start for start, end in spans) == pytest.approx(60 * 55.2, rel=0.01)
    assert peak < 10_000_000  # its samples have 115 MB


@pytest.mark.parametrize("has_length", [True, False])
def test_a_small_file_of_long_silence_takes_no_memory_before_it_is_refused(monkeypatch, has_length):
    monkeypatch.setattr(sound_module, "MAX_RECORDING_HOURS", 0.25)
    file = io.BytesIO()
    soundfile.write(file, np.zeros(20 * 60 * 8000, dtype=np.int16), 8000, format="FLAC")
    content = bytearray(file.getvalue())
    if not has_length:  # the number of samples in the header has 36 bits, the last of which are these
        content[22:26] = bytes(4)
    tracemalloc.start()
    with pytest.raises(MediaError, match=r"lasts longer than 0\.25 hours"):
        read_segments(bytes(content), RATE, 20, len)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000  # a quarter of an hour has 58 MB


def test_behind_damage_segments_are_those_of_the_whole_file():
    file = io.BytesIO()
    soundfile.write(file, recording([(1, 1), (1, 0)] * 10), RATE, format="flac")
    content = bytearray(file.getvalue())
    content[len(content) * 9 // 10 :][:300] = np.random.default_rng(0).bytes(300)
    samples = read_sound(bytes(content), RATE)
    read = read_segments(bytes(content), RATE, 3, np.copy)
    assert len(read) >= 8
    assert all(np.array_equal(part, samples[round(a * RATE) : round(b * RATE)]) for (a, b), part in read)


def test_what_is_wrong_with_a_segment_is_said_as_it_is():
    def refuse(samples: np.ndarray) -> None:
        raise ValueError("is too long for the encoder")

    with pytest.raises(ValueError, match=r"^is too long for the encoder"):
        read_segments(wav(noise(RATE, 1)), RATE, 2, refuse)
