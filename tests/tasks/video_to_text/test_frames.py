"""Frames of videos: of every container, selected as configured, upright, and no more decoded than needed."""

import io
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tasks.common.data.media_files import MediaError
from tasks.video_to_text import frames as frames_module
from tasks.video_to_text.config import FrameConfig
from tasks.video_to_text.frames import pack_frames, read_frames, select_frames

ALL = FrameConfig(num_frames=0)
SIZE = 48, 64  # height and width


def make_frame(number: int) -> np.ndarray:
    """Make a frame whose gray value tells its number, and whose black upper left quarter tells its orientation."""
    values = np.full((*SIZE, 3), 40 + 4 * (number % 50), dtype=np.uint8)
    values[: SIZE[0] // 2, : SIZE[1] // 2] = 0
    return values


def frame_numbers(frames: np.ndarray) -> list[int]:
    """Return the numbers of frames, by their lower right quarter."""
    height, width = frames.shape[1:3]
    return np.rint((frames[:, height // 2 + 4 :, width // 2 + 4 :].mean(axis=(1, 2, 3)) - 40) / 4).astype(int).tolist()


def save_video(
    path: Path, codec: str, count: int = 40, *, timestamps: list[int] | None = None, keyframes: int = 8
) -> str:
    """Save a video.

    Args:
        path: The file.
        codec: The codec.
        count: The number of frames.
        timestamps: When each frame is shown, in hundredths of a second (None: 25 frames a second).
        keyframes: Frames from one keyframe to the next.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = SIZE[1], SIZE[0]
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.gop_size = keyframes
        if timestamps:
            stream.codec_context.time_base = Fraction(1, 100)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(make_frame(number), format="rgb24")
            if timestamps:
                frame.pts, frame.time_base = timestamps[number], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


CODECS = {
    "a.mp4": "libx264",  # with B-frames, so that frames are stored in another order than they are shown in
    "a.mkv": "libx264",
    "a.webm": "libvpx-vp9",
    "a.avi": "mpeg4",
    "a.mpg": "mpeg1video",
    "a.mov": "mjpeg",
    "a.gif": "gif",
}


@pytest.mark.parametrize("name", CODECS)
def test_every_container_gives_its_frames_in_the_order_in_which_they_are_shown(tmp_path, name):
    path = save_video(tmp_path / name, CODECS[name])
    all_frames = read_frames(path, ALL, None)
    assert all_frames.shape == (40, *SIZE, 3)
    found = frame_numbers(all_frames)
    assert np.abs(np.subtract(found, range(40))).max() <= (1 if name != "a.gif" else 4)
    for source in (path, Path(path).read_bytes()):
        selected = frame_numbers(read_frames(source, FrameConfig(num_frames=4), None))
        difference = np.abs(np.subtract(selected, [found[index] for index in (5, 15, 25, 35)]))
        assert difference.max() <= (name == "a.mpg")  # whose timestamps are not exact


def test_frames_are_selected_by_number_by_rate_or_all(tmp_path):
    path = save_video(tmp_path / "a.mp4", "libx264", 50)  # two seconds
    assert len(read_frames(path, ALL, None)) == 50
    assert len(read_frames(path, FrameConfig(num_frames=100), None)) == 50
    assert len(read_frames(path, FrameConfig(num_frames=0, fps=5.0), None)) == 10
    assert len(read_frames(path, FrameConfig(num_frames=0, fps=0.1), None)) == 1
    assert len(read_frames(path, FrameConfig(num_frames=0, max_frames=7), None)) == 7


def test_the_selected_frame_is_the_one_that_is_shown_at_the_moment():
    """The last frame is shown for as long as the mean of the others: 13.1 s in all."""
    timestamps = np.array([0.0, 1.0, 2.0, 10.0, 10.5])
    assert select_frames(timestamps, FrameConfig(num_frames=4)).tolist() == [1, 2, 4]
    assert select_frames(timestamps, FrameConfig(num_frames=1)).tolist() == [2]


def test_a_varying_frame_rate_is_sampled_in_time(tmp_path):
    """Ten frames in the first tenth of a second, ten more in the nine after it."""
    timestamps = [*range(10), *range(10, 1000, 99)]
    path = save_video(tmp_path / "a.mkv", "libx264", 20, timestamps=timestamps, keyframes=4)
    found = frame_numbers(read_frames(path, FrameConfig(num_frames=10), None))
    assert found[0] >= 9
    assert len(found) >= 9


def test_frames_between_two_selected_ones_are_not_decoded(tmp_path, monkeypatch):
    path = save_video(tmp_path / "a.mp4", "libx264", 200, keyframes=10)
    count = 0
    decode_packets = frames_module.decode_packets

    def count_frames(*arguments):
        nonlocal count
        for frame in decode_packets(*arguments):
            count += 1
            yield frame

    monkeypatch.setattr(frames_module, "decode_packets", count_frames)
    assert frame_numbers(read_frames(path, FrameConfig(num_frames=4), None)) == [25, 25, 25, 25]
    assert count <= 4 * 10


def mark_as_rotated(path: str) -> str:
    """Add the metadata of a camera held sideways to a file: it is to be shown rotated by 90° clockwise."""
    content = bytearray(Path(path).read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    values = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    Path(path).write_bytes(content)
    return path


def test_packets_of_a_long_video_are_not_kept_in_memory(tmp_path, monkeypatch):
    path, living, peak = save_video(tmp_path / "a.mp4", "mpeg4"), 0, 0

    class Packet:
        is_discard = False

        def __init__(self, number: int):
            nonlocal living, peak
            self.pts, self.is_keyframe = number, number % 10 == 0
            living += 1
            peak = max(peak, living)

        def __del__(self):
            nonlocal living
            living -= 1

    monkeypatch.setattr(frames_module, "demux_packets", lambda *arguments: map(Packet, range(100)))
    assert frames_module.frame_timestamps(path)[:2] == (list(range(100)), list(range(0, 100, 10)))
    assert peak <= 2


def test_a_video_of_a_phone_is_rotated_upright(tmp_path):
    frames = read_frames(mark_as_rotated(save_video(tmp_path / "a.mp4", "libx264", 3)), ALL, None)
    assert frames.shape == (3, SIZE[1], SIZE[0], 3)
    dark = frames[0].mean(axis=-1) < 20  # the quarter that was at the upper left is at the upper right
    assert dark[4:28, 28:44].all()
    assert not dark[36:, :].any()


def test_a_folder_of_frames_is_read_in_the_order_of_the_numbers_in_names(tmp_path):
    for number in (1, 2, 10, 9):
        Image.fromarray(make_frame(number)).save(tmp_path / f"frame{number}.png")
    assert frame_numbers(read_frames(str(tmp_path), ALL, None)) == [1, 2, 9, 10]
    assert frame_numbers(read_frames(str(tmp_path), FrameConfig(num_frames=2), None)) == [2, 10]


def test_frames_are_cropped_and_resized(tmp_path):
    path = save_video(tmp_path / "a.mp4", "libx264", 3)
    assert read_frames(path, ALL, (32, 16)).shape == (3, 32, 16, 3)
    dark = read_frames(path, FrameConfig(num_frames=0, crop=(0, 20, 0, 28)), None)
    assert dark.shape == (3, 20, 28, 3)
    assert dark.max() < 25
    with pytest.raises(MediaError, match=r"48 pixels|64 × 48 pixels; rows 40:90"):
        read_frames(path, FrameConfig(num_frames=0, crop=(45, 90, 0, 28)), None)


def test_packed_frames_are_returned_unchanged():
    frames = np.random.default_rng(1).integers(0, 255, (5, 16, 24, 3), dtype=np.uint8)
    assert (read_frames(pack_frames(frames), FrameConfig(num_frames=2), (16, 24)) == frames).all()
    assert read_frames(pack_frames(frames), ALL, (8, 8)).shape == (5, 8, 8, 3)


def save_song(path: Path) -> str:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def test_errors_say_what_is_wrong_with_a_video(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video at all\n" * 50)
    (tmp_path / "folder").mkdir()
    for name, problem in {
        "empty.mp4": "is empty",
        "text.mp4": "not a readable video",
        "nowhere.mp4": "does not exist",
        "folder": "without files",
    }.items():
        with pytest.raises(MediaError, match=problem):
            read_frames(str(tmp_path / name), ALL, None)
    with pytest.raises(MediaError, match="only sound"):
        read_frames(save_song(tmp_path / "song.mp4"), ALL, None)
    (tmp_path / "folder" / "1.jpg").write_text("not an image")
    with pytest.raises(MediaError, match=r"holds 1\.jpg, which is not a readable image"):
        read_frames(str(tmp_path / "folder"), ALL, None)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mpg"])
def test_a_truncated_file_gives_the_frames_it_has_or_an_error(tmp_path, name):
    path = Path(save_video(tmp_path / name, CODECS[name], 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        found = frame_numbers(read_frames(str(path), ALL, None))
    except MediaError as error:
        assert name == "a.mp4"  # whose index was at the end
        assert "not a readable video" in str(error)
    else:
        assert 20 < len(found) < 200
        assert np.abs(np.subtract(found, range(len(found)))[:20]).max() <= 1


def damage_packet(path: str, number: int) -> str:
    """Overwrite a packet of a video."""
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start, size = packets[number].pos, packets[number].size
    content = bytearray(Path(path).read_bytes())
    assert start is not None
    content[start : start + size] = b"\xff" * size
    Path(path).write_bytes(content)
    return path


def test_behind_a_damaged_packet_reading_goes_on_and_the_damage_is_noted(tmp_path):
    path = damage_packet(save_video(tmp_path / "a.mp4", "libx264", 40), 20)
    notes: list[str] = []
    assert len(read_frames(path, ALL, None, notes.append)) >= 38
    assert notes == ["is damaged: 1 packet is left out"]
    assert len(read_frames(path, FrameConfig(num_frames=8), None)) >= 7


def test_a_video_without_timestamps_is_read(tmp_path):
    path = save_video(tmp_path / "a.h264", "libx264", 12)
    assert len(read_frames(path, ALL, None)) == 12
    assert len(read_frames(path, FrameConfig(num_frames=4), None)) == 4


def test_a_video_of_an_unknown_codec_is_refused(tmp_path):
    content = Path(save_video(tmp_path / "a.mkv", "libx264", 4)).read_bytes()
    with pytest.raises(MediaError, match=r"^is a video of an unknown codec$"):
        read_frames(content.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"), ALL, None)


@pytest.mark.parametrize("name", ["10:20:30.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_any_name_of_a_file_is_read(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(save_video(tmp_path / "a.mp4", "libx264", 4)).rename(name)
    assert len(read_frames(name, ALL, None)) == 4


def test_files_of_the_system_are_no_frames(tmp_path):
    for number in range(3):
        Image.fromarray(make_frame(number)).save(tmp_path / f"{number}.png")
    for name in (".DS_Store", "._0.png", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"\0")
    assert frame_numbers(read_frames(str(tmp_path), ALL, None)) == [0, 1, 2]


def test_a_single_frame_and_an_image_are_videos(tmp_path):
    assert frame_numbers(
        read_frames(save_video(tmp_path / "a.mp4", "libx264", 1), FrameConfig(num_frames=8), None)
    ) == [0]
    file = io.BytesIO()
    Image.fromarray(make_frame(3)).save(file, "png")
    assert frame_numbers(read_frames(file.getvalue(), FrameConfig(num_frames=8), None)) == [3]


@pytest.mark.parametrize(
    "settings", [{"num_frames": -1}, {"fps": -1.0}, {"crop": (1, 2)}, {"crop": (5, 5, 0, 9)}, {"max_frames": 0}]
)
def test_invalid_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"frames.{next(iter(settings))} is .* allowed is"):
        FrameConfig(**settings)


def test_settings_without_effect_are_listed():
    assert set(FrameConfig().unused_settings()) == {"fps", "max_frames"}
    assert set(FrameConfig(num_frames=500).unused_settings()) == {"fps"}
    assert FrameConfig(num_frames=0).unused_settings() == {}
