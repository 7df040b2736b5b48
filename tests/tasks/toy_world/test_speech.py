"""Speech of the toy world: the same seed gives the same sound, and splits share no speaker."""

import io

import numpy as np
import pytest
import soundfile

from tasks.common.data import cache
from tasks.toy_world import scenes, speech
from tasks.toy_world.scenes import describe
from tasks.toy_world.speech import ACCENTS, SAMPLE_RATE_HZ, SPEAKERS, synthesize, synthesize_words, toy_recordings


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def sound(content: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert rate == SAMPLE_RATE_HZ
    return samples


@pytest.mark.parametrize("voice", ["gmw/en-US+m3", "gmw/en-GB-x-gbcwmd+Reed"])  # the second one has random breath
def test_the_same_words_give_the_same_samples_independent_of_earlier_calls(voice: str):
    first = synthesize("a red seven", voice, words_per_minute=180, pitch=40)
    synthesize("an orange one", "gmw/en-029+f2", words_per_minute=150, pitch=60)
    assert np.array_equal(synthesize("a red seven", voice, words_per_minute=180, pitch=40), first)


def test_rate_pitch_and_voice_change_the_sound():
    plain = synthesize("a red seven above a blue two", "gmw/en-US+m3", words_per_minute=150, pitch=50)
    assert len(synthesize("a red seven above a blue two", "gmw/en-US+m3", words_per_minute=200, pitch=50)) < 0.9 * len(
        plain
    )
    for other in (
        synthesize("a red seven above a blue two", "gmw/en-US+m3", words_per_minute=150, pitch=20),
        synthesize("a red seven above a blue two", "gmw/en-US+f2", words_per_minute=150, pitch=50),
    ):
        size = min(len(other), len(plain))
        assert not np.allclose(other[:size], plain[:size], atol=0.05)


def test_an_unknown_voice_is_refused():
    with pytest.raises(ValueError, match="no voice 'gmw/nobody'"):
        synthesize("a red seven", "gmw/nobody")


def test_no_voice_is_clipped():
    for speaker in (name for names in SPEAKERS.values() for name in names):
        samples = synthesize("an orange seven", f"gmw/{ACCENTS[0]}+{speaker}")
        assert 0.5 < len(samples) / SAMPLE_RATE_HZ < 3
        assert 0.05 < np.abs(samples).max() <= 1


def test_no_speaker_is_in_two_splits():
    speakers = [name for names in SPEAKERS.values() for name in names]
    assert len(speakers) == len(set(speakers))


def test_a_row_depends_on_split_seed_and_number_alone(monkeypatch, tmp_path):
    first = list(toy_recordings("train", 6)["audio"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    monkeypatch.setattr(cache, "ROWS_PER_PROCESS", 2)  # three processes
    assert list(toy_recordings("train", 6)["audio"]) == first
    assert list(toy_recordings("train", 4)["audio"]) == first[:4]
    assert list(toy_recordings("train", 4, seed=2)["audio"]) != first[:4]


def test_recordings_are_cached(monkeypatch):
    first = list(toy_recordings("test", 3)["audio"])
    monkeypatch.setattr(speech, "synthesize", None)
    assert list(toy_recordings("test", 3)["audio"]) == first


def test_texts_describe_the_scenes_of_the_split_and_samples_have_the_duration_of_speech():
    recordings = toy_recordings("validation", 5)
    for scene, row in zip(scenes.sample_scenes("validation", 5), recordings, strict=True):
        assert row["text"] in describe(scene, "en")
        samples = sound(row["audio"]["bytes"])
        assert 0.3 < len(samples) / SAMPLE_RATE_HZ / len(row["text"].split()) * 2 < 2
        assert 0.05 < np.abs(samples).max() <= 1


def test_words_have_the_times_at_which_they_are_spoken():
    text = "a big red seven. To the left of a blue two"
    samples, words = synthesize_words(text, "gmw/en-US+m3")
    assert [word.text for word in words] == text.split()
    known = [word for word in words if word.start is not None]
    assert [word.text for word in words if word.start is None] == ["a"]  # spoken as one with "of"
    starts = [word.start for word in known if word.start is not None]
    assert starts == sorted(starts) and starts[0] == 0.0
    for word in known:
        if word.end is not None:
            spoken = samples[round((word.start or 0) * SAMPLE_RATE_HZ) : round(word.end * SAMPLE_RATE_HZ)]
            assert np.abs(spoken).max() > 0.05
    seven, following = words[3], words[4]
    assert seven.end is not None and following.start is not None and following.start - seven.end > 0.1
    pause = samples[round((seven.end + 0.1) * SAMPLE_RATE_HZ) : round((following.start - 0.02) * SAMPLE_RATE_HZ)]
    assert np.abs(pause).max() < 0.02
    assert words[-1].end is not None and words[-1].end > len(samples) / SAMPLE_RATE_HZ - 0.1
