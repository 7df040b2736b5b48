"""Small real files of each format that is read, to be changed: sound, images, videos, features."""

import contextlib
import io
import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile
from PIL import Image, ImageCms

RATE_HZ = 8000
RATE_FPS = 25
SOUND_FORMATS = {
    "WAV": (
        "PCM_U8",
        "PCM_16",
        "PCM_24",
        "PCM_32",
        "FLOAT",
        "DOUBLE",
        "ULAW",
        "ALAW",
        "IMA_ADPCM",
        "MS_ADPCM",
        "GSM610",
    ),
    "WAVEX": ("PCM_16",),
    "RF64": ("PCM_16",),
    "W64": ("PCM_16",),
    "AIFF": ("PCM_16",),
    "AU": ("PCM_16",),
    "CAF": ("PCM_16",),
    "FLAC": ("PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
SOUND_CODECS = {"m4a": "aac", "mka": "ac3", "webm": "libopus", "ts": "mp2", "wma": "wmav2", "avi": "pcm_s16le"}
VIDEO_CODECS = (
    ("mp4", "libx264"),
    ("mp4", "mpeg4"),
    ("mov", "mjpeg"),
    ("mkv", "ffv1"),
    ("avi", "mpeg4"),
    ("avi", "rawvideo"),
    ("webm", "libvpx"),
    ("webm", "libvpx-vp9"),
    ("mpg", "mpeg1video"),
    ("ts", "mpeg2video"),
    ("gif", "gif"),
)
FORMAT_NAMES = {"m4a": "ipod", "mka": "matroska", "mkv": "matroska", "ts": "mpegts", "wma": "asf", "mpg": "mpeg"}


def tone(seconds: float = 0.2, channels: int = 2) -> np.ndarray:
    """Return (samples, channels) of a tone in noise."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(1).normal(0, 0.1, (len(times), channels))
    return np.clip(0.3 * np.sin(2 * np.pi * 440 * times)[:, None] + noise, -1, 1)


def sounds() -> dict[str, bytes]:
    """Make recordings, by their formats."""
    made: dict[str, bytes] = {}
    for kind, subtypes in SOUND_FORMATS.items():
        for subtype in subtypes:
            file = io.BytesIO()
            samples = tone(channels=1 if subtype in ("GSM610", "OPUS") else 2)
            soundfile.write(file, samples, RATE_HZ, format=kind, subtype=subtype)
            made[f"{subtype}.{kind.lower()}"] = file.getvalue()
    for suffix, codec in SOUND_CODECS.items():
        made[f"{codec}.{suffix}"] = encode_sound(suffix, codec)
    return made


def encode_sound(suffix: str, codec: str) -> bytes:
    """Encode the tone in a container of FFmpeg."""
    file = io.BytesIO()
    rate = 48_000
    with av.open(file, "w", format=FORMAT_NAMES.get(suffix, suffix)) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.layout, stream.bit_rate = "stereo", 64_000
        samples = np.repeat(tone().T, rate // RATE_HZ, axis=1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", "stereo")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def picture(width: int = 20, height: int = 12, number: int = 0) -> Image.Image:
    """Return a picture in color."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 20, columns * 12, rows * columns + 40 * number], axis=-1)
    return Image.fromarray((pixels % 256).astype(np.uint8))


def images() -> dict[str, bytes]:
    """Make images, by their modes, settings and formats."""
    made: dict[str, bytes] = {}

    def add(name: str, image: Image.Image, **options: Any) -> None:
        file = io.BytesIO()
        suffix = name.rpartition(".")[2]
        image.save(file, {"jpg": "JPEG", "tif": "TIFF", "tga": "TGA", "jp2": "JPEG2000"}.get(suffix, suffix), **options)
        made[name] = file.getvalue()

    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        add(f"{mode}.png", picture().convert(mode) if mode != "I;16" else picture().convert("I").convert("I;16"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    add("exif.png", picture(), exif=exif, icc_profile=profile)
    add("progressive.jpg", picture(), progressive=True, exif=exif, icc_profile=profile)
    for mode in ("L", "RGB", "CMYK"):
        add(f"{mode}.jpg", picture().convert(mode))
    frames = [picture(number=number) for number in range(3)]
    for suffix in ("gif", "webp", "png", "tif"):
        add(f"animated.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    add("lossless.webp", picture().convert("RGBA"), lossless=True)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        add(f"{compression}.tif", picture(), compression=compression)
    for mode in ("1", "I;16", "I", "F", "LAB", "CMYK"):
        image = ImageCms.profileToProfile(
            picture(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        ) if mode == "LAB" else picture().convert("I" if mode == "I;16" else mode).convert(mode)  # fmt: skip
        add(f"{mode}.tif", image)
    for suffix in ("bmp", "ico", "ppm", "tga", "pcx", "dds", "jp2", "sgi", "im", "avif"):
        with contextlib.suppress(KeyError, OSError):  # where Pillow was built without it
            add(f"RGB.{suffix}", picture())
    return made


def videos() -> dict[str, bytes]:
    """Make videos of six frames, by their codecs and containers."""
    return {f"{codec}.{suffix}": encode_video(suffix, codec) for suffix, codec in VIDEO_CODECS}


def encode_video(suffix: str, codec: str, pictures: Iterable[Image.Image] | None = None) -> bytes:
    """Encode pictures, by default six of them, as a video."""
    pictures = [picture(32, 32, number) for number in range(6)] if pictures is None else list(pictures)
    file = io.BytesIO()
    with av.open(file, "w", format=FORMAT_NAMES.get(suffix, suffix)) as container:
        stream: Any = container.add_stream(codec, rate=RATE_FPS)
        stream.width, stream.height = pictures[0].size
        formats = {"gif": "rgb8", "mjpeg": "yuvj420p", "rawvideo": "bgr24"}
        stream.pix_fmt = formats.get(codec, "yuv420p")
        if codec == "libx264":
            stream.options = {"g": "3", "preset": "ultrafast"}
        for number, each in enumerate(pictures):
            frame = av.VideoFrame.from_image(each).reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, RATE_FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def arrays() -> dict[str, bytes]:
    """Make arrays in the .npy format: features, frames, and what is neither."""
    random = np.random.default_rng(1)
    values = {
        "features": random.normal(size=(5, 3)).astype(np.float32),
        "half": random.normal(size=(5, 3)).astype(np.float16),
        "double": random.normal(size=(2, 3, 4)),
        "fortran": np.asfortranarray(random.normal(size=(5, 3))),
        "frames": random.integers(0, 255, (3, 16, 16, 3), dtype=np.uint8),
        "integers": np.arange(6).reshape(2, 3),
        "text": np.array(["a", "bc"]),
        "scalar": np.array(1.5),
        "fields": np.zeros(3, dtype=[("a", "<f4"), ("b", "<i2")]),
    }
    made: dict[str, bytes] = {}
    for name, array in values.items():
        file = io.BytesIO()
        np.save(file, array)
        made[f"{name}.npy"] = file.getvalue()
    archive = io.BytesIO()
    np.savez(archive, features=values["features"])
    return made | {"archive.npz": archive.getvalue()}


def to_json(value: Any) -> bytes:
    """Write JSON as other programs do, with NaN and escaped surrogates."""
    return json.dumps(value).encode()
