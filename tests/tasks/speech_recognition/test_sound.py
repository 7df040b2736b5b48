"""Sound: files of any format, rate and number of channels are read, and unusable ones are refused."""

import io
import os
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import soundfile

from tasks.common.data.media_files import MediaError
from tasks.speech_recognition.sound import peak_of, read_sound, sound_problem

RATE = 16_000
TONE = 440  # Hz
LOUDNESS = 0.5
SECONDS = 1.5


def tone(rate: int, seconds: float = SECONDS) -> np.ndarray:
    return (LOUDNESS * np.sin(2 * np.pi * TONE * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def noise(rate: int, seconds: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(rate * seconds)).astype(np.float32)


def encode(path: Path, codec: str, rate: int, layout: str, title: str = "", seconds: float = SECONDS) -> Path:
    """Save the tone as the sound track of a container, the same in all channels."""
    with av.open(str(path), "w", metadata_encoding="latin-1") as container:
        container.metadata["title"] = title
        stream = cast(av.AudioStream, container.add_stream(codec, rate=rate, layout=layout))
        channels = av.AudioLayout(layout).nb_channels
        frame = av.AudioFrame.from_ndarray(
            np.repeat(tone(rate, seconds)[None], channels, axis=0), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def save_silent_video(path: Path) -> Path:
    """Save a video without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        container.mux([*stream.encode(image), *stream.encode(None)])
    return path


def assert_tone(samples: np.ndarray, tolerance: float = 0.05) -> None:
    """Check the tone's length, pitch and loudness; encoders may add a little silence at the ends."""
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) == pytest.approx(SECONDS * RATE, abs=0.07 * RATE)
    middle = samples[RATE // 4 : RATE // 4 + RATE]  # one second, so that the spectrum's unit is 1 Hz
    spectrum = np.abs(np.fft.rfft(middle)) * 2 / RATE
    assert spectrum.argmax() == TONE
    assert spectrum.max() == pytest.approx(LOUDNESS, rel=tolerance)
    assert np.abs(middle).max() == pytest.approx(LOUDNESS, rel=2 * tolerance)


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(
    ("form", "subtype", "rate", "channels"),
    [
        ("wav", "PCM_U8", 8000, 1),
        ("wav", "PCM_16", 16000, 2),
        ("wav", "PCM_24", 96000, 2),
        ("wav", "FLOAT", 11127, 1),  # has hardly a divisor in common with 16000
        ("flac", "PCM_16", 44100, 6),
        ("ogg", "VORBIS", 22050, 2),
        ("ogg", "OPUS", 48000, 1),
        ("mp3", "MPEG_LAYER_III", 44100, 2),
        ("mp3", "MPEG_LAYER_III", 16000, 1),
    ],
)
def test_every_format_rate_and_number_of_channels_is_read(tmp_path, form, subtype, rate, channels, as_bytes):
    path = tmp_path / f"tone.{form}"
    soundfile.write(path, np.repeat(tone(rate)[:, None], channels, axis=1), rate, subtype=subtype)
    assert_tone(read_sound(path.read_bytes() if as_bytes else str(path), RATE))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.m4a", "aac", 44100, "mono"),
        ("a.mp4", "aac", 48000, "stereo"),
        ("a.m4a", "aac", 48000, "5.1"),
        ("a.mkv", "libopus", 48000, "stereo"),
        ("a.webm", "libopus", 48000, "mono"),
    ],
)
def test_sound_tracks_with_any_number_of_channels_are_read(tmp_path, name, codec, rate, layout):
    # The bass channel of 5.1 is not made for a tone of this pitch, so the encoder reduces its share, one sixth.
    assert_tone(read_sound(encode(tmp_path / name, codec, rate, layout), RATE), 0.2 if layout == "5.1" else 0.05)


def test_channels_are_averaged(tmp_path):
    left, right = tone(RATE), noise(RATE, SECONDS)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    assert np.allclose(read_sound(tmp_path / "a.wav", RATE), (left + right) / 2, atol=1e-6)


def test_sound_at_the_requested_rate_is_not_changed(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(RATE, SECONDS), RATE, subtype="FLOAT")
    assert np.array_equal(read_sound(tmp_path / "a.wav", RATE), noise(RATE, SECONDS))


def test_the_size_of_blocks_does_not_matter(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", noise(44_100, 3), 44_100)
    whole = read_sound(tmp_path / "a.wav", RATE)
    monkeypatch.setattr("tasks.speech_recognition.sound.BLOCK_SIZE", 10_007)
    assert np.allclose(read_sound(tmp_path / "a.wav", RATE), whole, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 96_000])
def test_resampling_keeps_the_length(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", noise(rate, 2), rate)
    assert abs(len(read_sound(tmp_path / "a.wav", RATE)) - 2 * RATE) <= 1


def test_frequencies_too_high_for_the_new_rate_are_removed(tmp_path):
    high = 0.5 * np.sin(2 * np.pi * 12_000 * np.arange(48_000) / 48_000)
    soundfile.write(tmp_path / "a.wav", high, 48_000)
    assert np.abs(read_sound(tmp_path / "a.wav", RATE)[500:-500]).max() < 0.01


@pytest.mark.parametrize("share", [0.5, 0.73])
@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_a_truncated_file_gives_what_is_left_and_nothing_is_printed(form, share, capfd):
    file = io.BytesIO()
    soundfile.write(file, noise(RATE, 10), RATE, format=form)
    whole = read_sound(file.getvalue(), RATE)
    part = read_sound(file.getvalue()[: round(share * len(file.getvalue()))], RATE)
    assert len(part) == pytest.approx(share * len(whole), rel=0.15)
    assert np.allclose(part[: len(part) - RATE // 10], whole[: len(part) - RATE // 10], atol=1e-4)
    assert capfd.readouterr() == ("", "")


def test_a_truncated_wav_is_noted_and_one_that_was_written_to_a_pipe_is_not():
    file = io.BytesIO()
    soundfile.write(file, noise(RATE, 1), RATE, format="wav")
    content, notes = file.getvalue(), []
    for whole in (content, content[:4] + b"\xff\xff\xff\xff" + content[8:]):
        read_sound(whole, RATE, notes.append)
    assert notes == []
    read_sound(content[:-1000], RATE, notes.append)
    assert notes == ["is truncated: what is left is read"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "is empty"),
        ("text.wav", b"this is not sound at all\n" * 50, "is not readable sound"),
        ("text.mp3", b"nor is this\n" * 50, "is not readable sound"),
        (
            "noise.bin",
            bytes(np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)),
            "is not readable sound",
        ),
        ("head.wav", b"RIFF", "is not readable sound"),
    ],
)
def test_a_file_that_is_not_sound_is_refused_in_one_line(tmp_path, name, content, message, capfd):
    (tmp_path / name).write_bytes(content)
    for source in (str(tmp_path / name), content):
        with pytest.raises(MediaError, match=f"^{message}") as caught:
            read_sound(source, RATE)
        assert "\n" not in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_missing_files_folders_and_videos_without_sound_are_refused(tmp_path):
    for source, message in [
        (tmp_path / "none.wav", "does not exist"),
        (tmp_path, "is not a file"),
        (save_silent_video(tmp_path / "film.mp4"), "has no sound track"),
    ]:
        with pytest.raises(MediaError, match=f"^{message}$"):
            read_sound(source, RATE)


def test_names_and_titles_do_not_matter(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(RATE), RATE)
    assert_tone(read_sound((tmp_path / "a.wav").rename(tmp_path / "a.raw"), RATE))
    # A title that is not UTF-8, as old programs write them.
    assert_tone(read_sound(encode(tmp_path / "a.mkv", "libopus", 48_000, "mono", title="Käse"), RATE))


@pytest.mark.parametrize(
    ("name", "codec", "rate"), [("a.mp3", "mp3", RATE), ("a.aac", "aac", RATE), ("a.ogg", "libopus", 48_000)]
)
def test_behind_damaged_bytes_reading_goes_on_and_the_damage_is_noted(tmp_path, name, codec, rate):
    content = bytearray(encode(tmp_path / name, codec, rate, "mono", seconds=10).read_bytes())
    third = len(content) // 3
    content[third : third + 300] = np.random.default_rng(0).bytes(300)
    notes: list[str] = []
    assert len(read_sound(bytes(content), RATE, notes.append)) > 8.5 * RATE
    assert all(note.startswith("is damaged: ") for note in notes)
    assert len(notes) == 1 or name == "a.ogg"  # pages whose checksum is wrong are left out without an error


def test_damaged_flac_is_read_behind_the_damage():
    file = io.BytesIO()
    soundfile.write(file, noise(RATE, 10), RATE, format="flac")
    content = bytearray(file.getvalue())
    content[len(content) // 3 : len(content) // 3 + 300] = np.random.default_rng(0).bytes(300)
    assert len(read_sound(bytes(content), RATE)) > 9 * RATE


@pytest.mark.parametrize(("rate", "layout"), [(RATE, "stereo"), (32_000, "mono")])
def test_rate_and_channels_may_change_within_a_file(tmp_path, rate, layout):
    parts = encode(tmp_path / "a.mp3", "mp3", RATE, "mono"), encode(tmp_path / "b.mp3", "mp3", rate, layout)
    samples = read_sound(b"".join(part.read_bytes() for part in parts), RATE)
    assert len(samples) == pytest.approx(2 * SECONDS * RATE, abs=0.15 * RATE)
    assert_tone(samples[-round(SECONDS * RATE) :], 0.1)


@pytest.mark.parametrize("name", ["a.wav", "a.mka"])
def test_of_channels_that_cancel_each_other_out_one_is_read_and_this_is_noted(tmp_path, name):
    stereo = np.stack([tone(RATE), -1.001 * tone(RATE)], axis=1)
    if name == "a.wav":
        soundfile.write(tmp_path / name, stereo, RATE, subtype="FLOAT")
    else:
        with av.open(str(tmp_path / name), "w") as container:
            stream = cast(av.AudioStream, container.add_stream("pcm_f32le", rate=RATE, layout="stereo"))
            frame = av.AudioFrame.from_ndarray(stereo.reshape(1, -1), format="flt", layout="stereo")
            frame.sample_rate = RATE
            container.mux([*stream.encode(frame), *stream.encode(None)])
    notes: list[str] = []
    assert_tone(read_sound(tmp_path / name, RATE, notes.append))
    assert notes == ["has channels that cancel each other out: channel 2 of 2 is read alone"]


@pytest.mark.parametrize("stem", ["10:20:30", os.fsdecode(b"caf\xe9")])
@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_any_name_of_a_file_is_read(tmp_path, monkeypatch, stem, suffix):
    monkeypatch.chdir(tmp_path)
    soundfile.write(f"a.{suffix}", tone(RATE), RATE)
    assert_tone(read_sound(str(Path(f"a.{suffix}").rename(f"{stem}.{suffix}")), RATE))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, dtype=np.float32), "lasts 0.00 s; at least 0.1 s"),
        (tone(RATE, 0.09), "lasts 0.09 s"),
        (np.zeros(RATE, dtype=np.float32), "is silent"),
        (5e-5 * np.sign(tone(RATE)), "is silent"),
        (np.append(tone(RATE), np.float32("nan")), "not finite"),
        (np.append(tone(RATE), np.float32("inf")), "not finite"),
        (np.append(tone(RATE), np.float32("1e37")), "peak of 1e+37, where full scale is 1"),
    ],
)
def test_an_unusable_sound_is_refused_with_the_reason(samples, message):
    assert message in (sound_problem(len(samples), peak_of(samples), RATE) or "")


def test_short_and_quiet_sounds_can_be_used():
    for samples in (tone(RATE, 0.1), 4e-4 * tone(RATE)):
        assert sound_problem(len(samples), peak_of(samples), RATE) is None
