"""Readers of media of strangers: sound, images, videos, features."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_files import arrays, images, sounds, videos
from fuzz_inputs import changed_files
from fuzz_reader import Reader, answer, check, is_same

from tasks.common.data.arrays import pack_array, unpack_array
from tasks.common.data.images import image_problem, load_pixels
from tasks.common.data.media_files import MediaError, read_feature_array
from tasks.speech_recognition.config import FeatureConfig
from tasks.speech_recognition.extraction import read_feature_file, read_speech
from tasks.speech_recognition.features import LogMel
from tasks.video_to_text.config import FrameConfig
from tasks.video_to_text.frames import read_frames, unpack_frames, video_duration

SIDE = 16  # pixels


def from_both(read: Callable[[Any], Any], folder: Path, name: str, content: bytes) -> Any:
    """Read a file from its content and by its path: the answer is the same."""
    path = folder / f"input{Path(name).suffix}"
    path.write_bytes(content)
    first, second = (answer(read, source, refusals=MediaError) for source in (content, str(path)))
    # A refusal may be in other words, since a file knows of other errors than bytes do.
    check(is_same(first[0], second[0]), "another answer for the same file", first, second)
    return first[0]


def audio(folder: Path) -> Reader:
    """Recordings, also as the sound of videos: samples and features."""
    log_mel = LogMel(FeatureConfig(num_mels=20))

    def read(file: tuple[str, bytes]) -> None:
        samples = from_both(read_speech, folder, *file)
        if samples is not None:
            frames = log_mel(samples)
            check(len(frames) > 0 and bool(np.isfinite(frames).all()), "features are missing, or not finite")

    return Reader(changed_files(sounds()), read)


def pictures(folder: Path) -> Reader:
    """Images: those without a problem can be loaded."""

    def read(file: tuple[str, bytes]) -> None:
        pixels = from_both(lambda source: load_pixels(source, SIDE).numpy(), folder, *file)
        problem = image_problem(file[1])
        check(problem is not None or pixels is not None, "an image without a problem that can't be loaded")
        check(problem is None or len(problem.splitlines()) == 1, "a message of several lines", problem)

    return Reader(changed_files(images()), read)


def clips(folder: Path) -> Reader:
    """Videos: some frames, by their number or by the second."""
    configs = FrameConfig(num_frames=4), FrameConfig(num_frames=0, fps=10.0, max_frames=5)

    def read(file: tuple[str, bytes]) -> None:
        config = configs[len(file[1]) % 2]
        frames = from_both(lambda source: read_frames(source, config, (SIDE, SIDE)), folder, *file)
        check(frames is None or 0 < len(frames) <= 5, "another number of frames")
        duration = video_duration(file[1])
        check(duration is None or np.isfinite(duration), "a duration that is not finite")

    return Reader(changed_files(videos()), read)


def features(folder: Path) -> Reader:
    """Features, and frames that are packed in the same format."""

    def read(file: tuple[str, bytes]) -> None:
        name, content = file
        path = folder / f"input{Path(name).suffix}"
        path.write_bytes(content)
        values, _ = answer(read_feature_array, str(path), "frames", refusals=MediaError)
        check(values is None or bool(np.isfinite(values).all()), "features that are not finite")
        answer(unpack_frames, content, refusals=MediaError)
        frames, _ = answer(read_feature_file, str(path), refusals=MediaError)
        is_finite = frames is None or bool(np.isfinite(unpack_array(pack_array(frames))).all())
        check(is_finite, "features of speech that are not finite once they are packed")

    return Reader(changed_files(arrays()), read)
