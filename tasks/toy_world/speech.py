"""The embedded world, spoken: espeak-ng reads the scenes' sentences aloud in many voices, in this process."""

import _ctypes
import ctypes
import io
import os
import random
from collections.abc import Mapping
from typing import Any

import espeakng_loader
import numpy as np
import soundfile
from datasets import Dataset, Features, Value
from jaxtyping import Float
from scipy.signal import resample_poly

from tasks.common.data import cache
from tasks.toy_world.scenes import describe, scenes

VERSION = 1  # of what is kept on disk
RATE = 16_000  # Hz

ACCENTS = ("en-US", "en", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-gbcwmd", "en-GB-x-rp", "en-029", "en-US-nyc")
SPEAKERS = {  # espeak's variants of a voice; who speaks in one split speaks in no other
    "train": (
        *("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f4", "Alex", "Alicia", "Andrea", "Annie", "Gene", "Lee"),
        *("Michael", "Mike", "Reed", "adam", "antonio", "benjamin", "belinda", "david", "edward", "ian", "john"),
        *("max", "paul", "quincy", "robert", "shelby", "steph", "travis", "victor", "zac"),
    ),
    "validation": ("m8", "f5", "Denis", "rob", "norbert", "steph2"),
    "test": ("m5", "f3", "Andy", "ed", "linda", "michel"),
}
RATES = 140, 200  # words a minute
PITCHES = 30, 70  # of 0 to 100
NOISE = 20, 40  # decibels below the voice

COLUMNS = Features({"bytes": Value("binary"), "path": Value("string"), "text": Value("string")})
SYNCHRONOUS, RATE_PARAMETER, PITCH_PARAMETER, UTF8 = 2, 1, 3, 1  # of espeak's C interface
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def toy_recordings(split: str, count: int, seed: int = 1) -> Dataset:
    """Scenes and how they sound: columns bytes (a .flac file), path (a name for it) and text.

    Each row's voice, rate, pitch and noise hang on split, seed and row alone, and no voice speaks in two splits.
    What was spoken before comes from the disk.
    """
    generator = random.Random(f"paraphrases {split} {seed}")
    texts = [generator.choice(describe(scene, "en")) for scene in scenes(split, count, seed)]
    key = f"voices-{VERSION}-{split}-{count}-{seed}"
    return Dataset.from_dict({"text": texts}).map(
        Synthesize(split, seed),
        with_indices=True,
        features=COLUMNS,
        cache_file_name=str(cache.folder() / f"{key}.arrow"),
        new_fingerprint=key,
        num_proc=cache.processes(count),
    )


class Synthesize:
    """Speaks a row; an object, so that other processes can be given it."""

    def __init__(self, split: str, seed: int):
        self.split, self.seed = split, seed

    def __call__(self, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        generator = random.Random(f"voice {self.split} {self.seed} {number}")
        voice = f"gmw/{generator.choice(ACCENTS)}+{generator.choice(SPEAKERS[self.split])}"
        samples = speak(row["text"], voice, rate=generator.randint(*RATES), pitch=generator.randint(*PITCHES))
        loudness = float(np.sqrt(np.square(samples).mean()))
        level = loudness * 10 ** (-generator.uniform(*NOISE) / 20)
        noise = np.random.default_rng(generator.getrandbits(63)).standard_normal(len(samples), dtype=np.float32)
        file = io.BytesIO()
        soundfile.write(file, np.clip(samples + level * noise, -1, 1), RATE, format="flac")
        return {"bytes": file.getvalue(), "path": f"{self.split}-{number + 1:04}.flac"}


def speak(text: str, voice: str, *, rate: int = 170, pitch: int = 50) -> Float[np.ndarray, " samples"]:
    """``text`` at RATE Hz, from -1 to 1, by espeak-ng; ``rate`` in words a minute, ``pitch`` from 0 to 100.

    The engine's flutter goes on from one utterance to the next, and nothing sets it back but loading the library
    anew. That takes some milliseconds, and makes the same words the same samples whatever was said before.
    Raises ValueError for a voice that espeak-ng does not have.
    """
    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    blocks: list[np.ndarray] = []

    def receive(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    try:
        own_rate = engine.espeak_Initialize(SYNCHRONOUS, 0, os.fsencode(espeakng_loader.get_data_path()), 0)
        callback = Callback(receive)  # must live as long as the engine speaks
        engine.espeak_SetSynthCallback(callback)
        if engine.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        engine.espeak_SetParameter(RATE_PARAMETER, rate, 0)
        engine.espeak_SetParameter(PITCH_PARAMETER, pitch, 0)
        content = text.encode()
        engine.espeak_Synth(content, len(content) + 1, 0, 1, 0, UTF8, None, None)
        engine.espeak_Synchronize()
        engine.espeak_Terminate()
    finally:
        _ctypes.dlclose(engine._handle)
    samples = np.concatenate(blocks).astype(np.float32) / 32768
    return np.clip(resample_poly(samples, RATE, own_rate), -1, 1).astype(np.float32)  # filters overshoot
