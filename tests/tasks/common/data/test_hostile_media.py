"""Media and tables of strangers: what would take far more memory than its size suggests is refused, and so are names
of files that are not of the data."""

import csv
import gc
import io
import json
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from tasks.common.data import images
from tasks.common.data.containers import SoughtFile, open_container
from tasks.common.data.images import image_problem, open_image
from tasks.common.data.media_files import MediaError, load_array, read_feature_array
from tasks.common.data.media_folders import read_listed_table, read_texts
from tasks.common.data.media_names import MediaNames
from tasks.common.data.npy import read_npy
from tasks.common.errors import UsageError
from tasks.image_captioning.data import read_captioned_images
from tasks.speech_recognition import sound
from tasks.speech_recognition.extraction import read_feature_file
from tasks.speech_recognition.sound import read_sound
from tasks.video_to_text import frames
from tasks.video_to_text.config import FrameConfig
from tasks.video_to_text.data import find_video, read_captioned_videos
from tasks.video_to_text.frames import read_frames, video_duration

HUGE = 10**12


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def test_the_size_of_an_image_is_limited_before_it_is_decoded():
    assert "has 2500 million pixels; at most 200 are allowed" in str(
        image_problem(png(50_000, 50_000, png_chunk(b"IDAT", b"")))
    )


def test_a_progressive_jpeg_is_limited_before_the_decoder_reduces_it(monkeypatch):
    monkeypatch.setattr(images, "MAX_MEGAPIXELS", 0.01)
    content = encode(Image.new("RGB", (200, 200), "red"), "jpeg", progressive=True)
    with pytest.raises(MediaError, match="million pixels"):
        open_image(content, side=8)


def test_texts_in_an_image_do_not_unfold():
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    pixels = png_chunk(b"IDAT", zlib.compress((b"\0" + bytes(48)) * 16)) + png_chunk(b"IEND", b"")
    assert "is broken" in str(image_problem(png(16, 16, text, pixels)))


def test_an_animation_of_many_frames_is_read_to_its_first():
    first, *rest = (Image.new("RGB", (16, 16), (color, 0, 0)) for color in range(200))
    content = encode(first, "gif", save_all=True, append_images=rest)
    assert content.count(b"\x21\xf9\x04") > 100  # frames
    assert open_image(content).size == (16, 16)


def test_a_file_of_an_image_is_closed_whatever_is_in_it(tmp_path, recwarn):
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (16, 16)), "png")[:45])
    assert "is broken" in str(image_problem(str(tmp_path / "a.png")))
    gc.collect()
    assert not recwarn.list


def npy_header(shape: tuple[int, ...], descr: str = "<f4", version: int = 1) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


@pytest.mark.parametrize(
    "content, reason",
    [
        (npy_header((HUGE, HUGE)), "header tells of"),
        (npy_header((HUGE,)) + bytes(400), "400 bytes follow"),
        (npy_header((HUGE,), "<U0"), "header tells of"),
        (npy_header((1,), "|O") + b"\x80\x04N.", "holds objects, which are never read"),
        (npy_header((1,), version=3), "its version is 3.0"),
        (b"PK\x03\x04" + bytes(100), "magic"),
        (b"\x93NUMPY", "EOF"),
        (b"", "EOF"),
        (npy_header((1,)).replace(b"}", b" "), "its header is broken"),
    ],
    ids=["shape", "short", "empty items", "pickle", "version", "archive", "cut", "empty", "header"],
)
def test_an_array_has_what_its_header_says(tmp_path, content, reason):
    (tmp_path / "a.npy").write_bytes(content)
    for source in (content, tmp_path / "a.npy"):
        with pytest.raises(ValueError, match=reason):
            read_npy(source)
    with pytest.raises(MediaError, match=r"is not a readable \.npy file"):
        load_array(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("values", [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 3)), np.array(1.5)])
def test_whole_arrays_are_read(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(read_npy(tmp_path / "a.npy"), values)
    content = (tmp_path / "a.npy").read_bytes()
    assert np.array_equal(read_npy(content + b"a text behind it"), values)


def test_features_that_become_infinite_are_refused(tmp_path):
    for name, largest in (("double", 1e300), ("half", 70_000.0)):
        np.save(tmp_path / f"{name}.npy", np.full((20, 3), largest))
    with pytest.raises(MediaError, match="not finite in single precision"):
        read_feature_array(str(tmp_path / "double.npy"), "frames")
    assert read_feature_array(str(tmp_path / "half.npy"), "frames").max() == 70_000.0
    with pytest.raises(MediaError, match="not finite in single precision"):
        read_feature_file(str(tmp_path / "double.npy"))
    with pytest.raises(MediaError, match="up to 70000; features are kept in half precision, up to 65504"):
        read_feature_file(str(tmp_path / "half.npy"))


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 4), np.uint8)])
def test_an_array_that_is_no_video_is_refused(values):
    file = io.BytesIO()
    np.save(file, values)
    with pytest.raises(MediaError, match="frames are uint8"):
        read_frames(file.getvalue(), FrameConfig(), None)
    with pytest.raises(MediaError, match="is not a readable array"):
        read_frames(npy_header((HUGE, 4, 4, 3), "|u1"), FrameConfig(), None)


def wav(samples: np.ndarray, rate: int, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype="PCM_16")
    return file.getvalue()


@pytest.mark.parametrize("rate", [1, 536_878_912])
def test_a_rate_at_which_samples_become_many_or_the_filter_endless_is_refused(rate):
    with pytest.raises(MediaError, match=f"sample rate of {rate} Hz; allowed are 1000 to 1000000 Hz"):
        read_sound(wav(np.zeros(1000), rate), 16_000)


@pytest.mark.parametrize("kind", ["WAV", "AIFF"])  # the second by FFmpeg
def test_all_of_many_channels_are_read(kind):
    channels = np.repeat(np.linspace(0.1, 0.9, 18)[None], 1600, axis=0)
    assert np.allclose(read_sound(wav(channels, 16_000, kind), 16_000), channels.mean(), atol=1e-3)


def test_a_position_that_no_file_has_is_no_traceback_and_the_content_is_read_as_the_path_is(tmp_path, capfd):
    content = bytearray(wav(np.full(1600, 0.5), 16_000, "W64"))
    content[16:24] = struct.pack("<Q", 2**63 + 5)  # the size of the whole file
    (tmp_path / "a.w64").write_bytes(content)
    for source in (bytes(content), str(tmp_path / "a.w64")):
        try:
            assert np.allclose(read_sound(source, 16_000), 0.5, atol=0.01)
        except MediaError as error:
            assert "is not readable sound" in str(error)
    with open_container(bytes(content)) as container:
        assert container.streams.audio
    assert "Traceback" not in capfd.readouterr().err


def test_a_file_for_ffmpeg_answers_positions_that_no_file_has_with_a_negative_number(tmp_path):
    (tmp_path / "a").write_bytes(bytes(10))
    with (tmp_path / "a").open("rb") as opened:
        for file in (SoughtFile(opened), SoughtFile(io.BytesIO(bytes(10)))):
            assert file.seek(5) == 5 and file.seek(-5) < 0 and file.seek(2**62) < 0 and file.seek(0, 0x10000) < 0
            assert file.tell() == 5 and len(file.read(10)) == 5


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_recording_is_read_up_to_the_limit(monkeypatch, kind):
    monkeypatch.setattr(sound, "MAX_RECORDING_HOURS", 1 / 3600)
    assert len(read_sound(wav(np.full(16_000, 0.5), 16_000, kind), 16_000)) == 16_000
    with pytest.raises(MediaError, match="lasts longer than"):
        read_sound(wav(np.full(16_001, 0.5), 16_000, kind), 16_000)


def test_a_header_that_tells_of_more_sound_than_follows_takes_no_memory_for_it():
    content = bytearray(wav(np.full(16_000, 0.5), 16_000))
    content[40:44] = struct.pack("<I", 0x7FFF0000)  # the size of the samples
    tracemalloc.start()
    assert len(read_sound(bytes(content), 16_000)) == 16_000
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_many_channels_are_read_in_smaller_blocks():
    content = bytearray(wav(np.full((1000, 1000), 0.5), 16_000))
    tracemalloc.start()
    read_sound(bytes(content), 16_000)
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()


def video(width: int, height: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file.getvalue()


def test_the_size_of_frames_is_limited(monkeypatch):
    content = video(64, 64)
    assert len(read_frames(content, FrameConfig(), None)) == 3
    monkeypatch.setattr(frames, "MAX_FRAME_MEGAPIXELS", 0.004)
    with pytest.raises(MediaError, match="has frames of 64 × 64 pixels"):
        read_frames(content, FrameConfig(), None)


def test_frames_larger_than_the_file_says_are_not_decoded(monkeypatch):
    monkeypatch.setattr(frames, "MAX_FRAME_MEGAPIXELS", 0.004)
    monkeypatch.setattr(frames, "check_size", lambda width, height: None)  # as if the file had told of small ones
    with pytest.raises(MediaError, match=r"is not a readable video|has no readable frame"):
        read_frames(video(64, 64), FrameConfig(), None)


def test_a_video_with_a_broken_index_is_one_line():
    content = bytearray(video(64, 64))
    start = content.index(b"idx1")
    content[start + 8 :] = b"\xff" * (len(content) - start - 8)
    assert len(read_frames(bytes(content), FrameConfig(), None)) <= 3


OUTSIDE = ["../secret.png", "/etc/secret.png", "a/../../secret.png", "..\\secret.png"]


def folder_with(tmp_path: Path, name: str) -> Path:
    """Make a folder whose table names an image inside and one of this name."""
    data = tmp_path / "data"
    data.mkdir()
    for path in (tmp_path / "secret.png", data / "a.png"):
        Image.new("RGB", (16, 16)).save(path)
    with (data / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "text"), ("a.png", "red"), (name, "blue")])
    return data


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_of_files_outside_of_the_data_are_refused(tmp_path, name):
    data = folder_with(tmp_path, name)
    with pytest.raises(UsageError, match="is outside of"):
        read_listed_table(data, (".png",))
    (data / "metadata.csv").rename(data / "captions.txt")
    (data / "captions.txt").write_text(f"a.png\tred\n{name}\tblue\n")
    with pytest.raises(UsageError, match="is outside of"):
        read_texts(data, (".png",))
    with pytest.raises(UsageError, match="is outside of"):
        find_video(data, name)


def test_addresses_in_tables_are_names_of_files_and_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.OpenerDirector.open", lambda *_, **__: pytest.fail("fetched"))
    listed = read_listed_table(folder_with(tmp_path, "http://127.0.0.1/a.png"), (".png",))
    assert listed is not None
    assert "does not exist" in str(image_problem(str(listed[0][1])))


def test_a_link_in_the_data_is_followed_as_the_cache_of_the_hub_needs_it(tmp_path):
    data = folder_with(tmp_path, "linked.png")
    (data / "linked.png").symlink_to(tmp_path / "secret.png")
    assert MediaNames(data, (".png",)).locate("linked.png") == data / "linked.png"


def karpathy(**changes: Any) -> dict[str, Any]:
    image = {"filename": "a.png", "split": "train", "sentences": [{"raw": "red"}]}
    return {"images": [image | changes]}


def coco(file_name: Any = "a.png", **annotation: Any) -> dict[str, Any]:
    annotations = [{"image_id": 1, "caption": "red"} | annotation]
    return {"images": [{"id": 1, "file_name": file_name}], "annotations": annotations}


def msrvtt(**changes: Any) -> dict[str, Any]:
    return {
        "videos": [{"video_id": "a", "split": "train"} | changes],
        "sentences": [{"video_id": "a", "caption": "red"}],
    }


@pytest.mark.parametrize(
    "form, content, reason",
    [
        ("Karpathy's", karpathy(sentences=["red"]), "TypeError"),
        ("Karpathy's", karpathy(filename=3, filepath=[]), None),
        ("Karpathy's", karpathy(filename="../a.png"), "is outside of"),
        ("Karpathy's", {"images": ["a.png"]}, "AttributeError"),
        ("Karpathy's", {"images": [{"split": "train"}]}, "KeyError: 'sentences'"),
        ("COCO's", coco(), None),
        ("COCO's", coco({"a": 1}), "Error"),
        ("COCO's", coco("../../a.png"), "is outside of"),
        ("COCO's", coco(image_id=[]), "unhashable"),
        ("COCO's", {"images": [{"file_name": "a.png"}], "annotations": []}, "KeyError: 'id'"),
        ("MSR-VTT's", msrvtt(), None),
        ("MSR-VTT's", msrvtt(video_id=["a"]), None),
        ("MSR-VTT's", {"videos": ["a"], "sentences": []}, "TypeError"),
    ],
)
def test_a_listing_of_another_form_is_one_line(tmp_path, form, content, reason):
    place = {"Karpathy's": "dataset.json", "COCO's": "annotations/captions_train2017.json"}.get(form, "info.json")
    read = read_captioned_videos if form == "MSR-VTT's" else read_captioned_images
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text(json.dumps(content))
    if reason is None:
        assert read(str(tmp_path), "train", "captions")["captions"][0] in (["red"], [])
        return
    with pytest.raises(UsageError, match=reason) as error:
        read(str(tmp_path), "train", "captions")
    assert reason == "is outside of" or f"is not a caption file of {form} form" in str(error.value)


def test_what_is_no_video_has_no_duration():
    assert video_duration(b"GIF89a") is None  # FFmpeg raises its own EOFError
