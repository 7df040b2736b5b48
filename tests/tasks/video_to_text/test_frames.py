"""Frames of videos: of every container, sampled as asked, upright, and never more decoded than needed."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from tasks.common.data.captioned_media import MediaError
from tasks.video_to_text import frames as module
from tasks.video_to_text.frames import FrameConfig, VideoAugmentConfig, augmented, pack_frames, read_frames

ALL = FrameConfig(num_frames=0)
SIZE = 48, 64  # height and width


def picture(number: int) -> np.ndarray:
    """Its grey says which one it is; the upper left quarter is black, so that its way up can be told."""
    values = np.full((*SIZE, 3), 40 + 4 * (number % 50), dtype=np.uint8)
    values[: SIZE[0] // 2, : SIZE[1] // 2] = 0
    return values


def numbers(frames: np.ndarray) -> list[int]:
    """Which pictures these are, by their lower right quarter."""
    height, width = frames.shape[1:3]
    return np.rint((frames[:, height // 2 + 4 :, width // 2 + 4 :].mean(axis=(1, 2, 3)) - 40) / 4).astype(int).tolist()


def render_clip(
    path: Path, codec: str, count: int = 40, *, moments: list[int] | None = None, keyframes: int = 8
) -> str:
    """``moments``: when each frame is shown, in hundredths of a second (None: 25 frames a second)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = SIZE[1], SIZE[0]
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.gop_size = keyframes
        if moments:
            stream.codec_context.time_base = Fraction(1, 100)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            if moments:
                frame.pts, frame.time_base = moments[number], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


KINDS = {
    "a.mp4": "libx264",  # with B-frames, so that frames are stored in another order than they are shown in
    "a.mkv": "libx264",
    "a.webm": "libvpx-vp9",
    "a.avi": "mpeg4",
    "a.mpg": "mpeg1video",
    "a.mov": "mjpeg",
    "a.gif": "gif",
}


@pytest.mark.parametrize("name", KINDS)
def test_every_container_gives_its_frames_in_the_order_in_which_they_are_shown(tmp_path, name):
    path = render_clip(tmp_path / name, KINDS[name])
    everything = read_frames(path, ALL, None)
    assert everything.shape == (40, *SIZE, 3)
    found = numbers(everything)
    assert np.abs(np.subtract(found, range(40))).max() <= (1 if name != "a.gif" else 4)
    for source in (path, Path(path).read_bytes()):
        few = numbers(read_frames(source, FrameConfig(num_frames=4), None))
        off = np.abs(np.subtract(few, [found[place] for place in (5, 15, 25, 35)]))
        assert off.max() <= (name == "a.mpg")  # which does not say exactly where its frames lie


def test_frames_are_taken_by_count_by_rate_or_all(tmp_path):
    path = render_clip(tmp_path / "a.mp4", "libx264", 50)  # two seconds
    assert len(read_frames(path, ALL, None)) == 50
    assert len(read_frames(path, FrameConfig(num_frames=100), None)) == 50
    assert len(read_frames(path, FrameConfig(num_frames=0, fps=5.0), None)) == 10
    assert len(read_frames(path, FrameConfig(num_frames=0, fps=0.1), None)) == 1
    assert len(read_frames(path, FrameConfig(num_frames=0, max_frames=7), None)) == 7


def test_a_moment_is_seen_in_the_frame_that_is_on_the_screen_then():
    """The last frame is shown for as long as the mean of the others: 13.1 s in all."""
    times = np.array([0.0, 1.0, 2.0, 10.0, 10.5])
    assert FrameConfig(num_frames=4).choose(times).tolist() == [1, 2, 4]
    assert FrameConfig(num_frames=1).choose(times).tolist() == [2]


def test_a_varying_frame_rate_is_sampled_in_time(tmp_path):
    """Ten frames in the first tenth of a second, ten more in the nine after it."""
    moments = [*range(10), *range(10, 1000, 99)]
    path = render_clip(tmp_path / "a.mkv", "libx264", 20, moments=moments, keyframes=4)
    found = numbers(read_frames(path, FrameConfig(num_frames=10), None))
    assert found[0] >= 9
    assert len(found) >= 9


def test_what_lies_between_two_wanted_frames_is_not_decoded(tmp_path, monkeypatch):
    path = render_clip(tmp_path / "a.mp4", "libx264", 200, keyframes=10)
    count = 0
    plain = module.decoded

    def counted(*arguments):
        nonlocal count
        for frame in plain(*arguments):
            count += 1
            yield frame

    monkeypatch.setattr(module, "decoded", counted)
    assert numbers(read_frames(path, FrameConfig(num_frames=4), None)) == [25, 25, 25, 25]
    assert count <= 4 * 10


def turned(path: str) -> str:
    """The file with the note that the camera was held sideways: its picture is shown turned by 90° clockwise."""
    content = bytearray(Path(path).read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    values = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    Path(path).write_bytes(content)
    return path


def test_a_video_of_a_phone_is_turned_upright(tmp_path):
    frames = read_frames(turned(render_clip(tmp_path / "a.mp4", "libx264", 3)), ALL, None)
    assert frames.shape == (3, SIZE[1], SIZE[0], 3)
    dark = frames[0].mean(axis=-1) < 20  # the quarter that was at the upper left is at the upper right
    assert dark[4:28, 28:44].all()
    assert not dark[36:, :].any()


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(tmp_path):
    for number in (1, 2, 10, 9):
        Image.fromarray(picture(number)).save(tmp_path / f"frame{number}.png")
    assert numbers(read_frames(str(tmp_path), ALL, None)) == [1, 2, 9, 10]
    assert numbers(read_frames(str(tmp_path), FrameConfig(num_frames=2), None)) == [2, 10]


def test_crop_and_size(tmp_path):
    path = render_clip(tmp_path / "a.mp4", "libx264", 3)
    assert read_frames(path, ALL, (32, 16)).shape == (3, 32, 16, 3)
    dark = read_frames(path, FrameConfig(num_frames=0, crop=(0, 20, 0, 28)), None)
    assert dark.shape == (3, 20, 28, 3)
    assert dark.max() < 25
    with pytest.raises(MediaError, match=r"48 pixels|64 × 48 pixels; rows 40:90"):
        read_frames(path, FrameConfig(num_frames=0, crop=(45, 90, 0, 28)), None)


def test_kept_frames_are_returned_as_they_are():
    frames = np.random.default_rng(1).integers(0, 255, (5, 16, 24, 3), dtype=np.uint8)
    assert (read_frames(pack_frames(frames), FrameConfig(num_frames=2), (16, 24)) == frames).all()
    assert read_frames(pack_frames(frames), ALL, (8, 8)).shape == (5, 8, 8, 3)


def song(path: Path) -> str:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def test_what_is_wrong_with_a_video_is_said(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 50)
    (tmp_path / "folder").mkdir()
    for name, problem in {
        "empty.mp4": "is empty",
        "text.mp4": "no video that can be read",
        "nowhere.mp4": "does not exist",
        "folder": "without files",
    }.items():
        with pytest.raises(MediaError, match=problem):
            read_frames(str(tmp_path / name), ALL, None)
    with pytest.raises(MediaError, match="only sound"):
        read_frames(song(tmp_path / "song.mp4"), ALL, None)
    (tmp_path / "folder" / "1.jpg").write_text("no picture")
    with pytest.raises(MediaError, match=r"holds 1\.jpg, which is no picture"):
        read_frames(str(tmp_path / "folder"), ALL, None)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mpg"])
def test_a_truncated_file_gives_what_it_has_or_says_why_not(tmp_path, name):
    path = Path(render_clip(tmp_path / name, KINDS[name], 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    try:
        found = numbers(read_frames(str(path), ALL, None))
    except MediaError as error:
        assert name == "a.mp4"  # whose index stood at its end
        assert "no video that can be read" in str(error)
    else:
        assert 20 < len(found) < 200
        assert np.abs(np.subtract(found, range(len(found)))[:20]).max() <= 1


def test_one_frame_is_a_video_and_so_is_a_picture(tmp_path):
    assert numbers(read_frames(render_clip(tmp_path / "a.mp4", "libx264", 1), FrameConfig(num_frames=8), None)) == [0]
    file = io.BytesIO()
    Image.fromarray(picture(3)).save(file, "png")
    assert numbers(read_frames(file.getvalue(), FrameConfig(num_frames=8), None)) == [3]


def test_augmentation_changes_all_frames_alike_and_never_leaves_none():
    torch.manual_seed(1)
    still = torch.from_numpy(picture(3)).permute(2, 0, 1)[None].expand(6, -1, -1, -1)
    view = augmented(still, VideoAugmentConfig(crop=0.4, flip=True, color=0.3))
    assert view.shape == still.shape
    assert view.dtype == torch.uint8
    assert_close(view, view[:1].expand_as(view))
    assert (view != still).any()
    lengths = [len(augmented(still, VideoAugmentConfig(stutter=0.5))) for _ in range(50)]
    assert min(lengths) >= 1
    assert len(set(lengths)) > 3
    assert_close(augmented(still, VideoAugmentConfig()), still)


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"count": -1}, {"rate": -1.0}, {"crop": (1, 2)}, {"crop": (5, 5, 0, 9)}, {"most": 0}):
        with pytest.raises(ValueError, match="frames"):
            FrameConfig(**wrong)
