"""Speech of the toy world: the scenes' sentences, synthesized by espeak-ng in many voices, in this process."""

import _ctypes
import ctypes
import io
import itertools
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from datasets import Dataset, Features, Value
from jaxtyping import Float
from scipy.signal import resample_poly

from tasks.common.data import cache
from tasks.toy_world.scenes import describe, sample_scenes

VERSION = 3  # of the cached recordings; increase it when synthesis or a column changes
SAMPLE_RATE_HZ = 16_000

ACCENTS = ("en-US", "en", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-gbcwmd", "en-GB-x-rp", "en-029", "en-US-nyc")
SPEAKERS = {  # espeak's variants of a voice; no speaker is in two splits
    "train": (
        *("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f4", "Alex", "Alicia", "Andrea", "Annie", "Gene", "Lee"),
        *("Michael", "Mike", "Reed", "adam", "antonio", "benjamin", "belinda", "david", "edward", "ian", "john"),
        *("max", "paul", "quincy", "robert", "shelby", "steph", "travis", "victor", "zac"),
    ),
    "validation": ("m8", "f5", "Denis", "rob", "norbert", "steph2"),
    "test": ("m5", "f3", "Andy", "ed", "linda", "michel"),
}
WORDS_PER_MINUTE = 140, 200  # minimum and maximum
PITCH = 30, 70  # minimum and maximum, on espeak's scale from 0 to 100
NOISE_DB = 20, 40  # minimum and maximum, below the speech

COLUMNS = Features({"audio": {"path": Value("string"), "bytes": Value("binary")}, "text": Value("string")})
# Constants of espeak's C interface.
SYNCHRONOUS, PHONEME_EVENTS, RATE_PARAMETER, PITCH_PARAMETER, UTF8 = 2, 1, 1, 3, 1
NO_EVENT, WORD_EVENT, END_EVENT, PHONEME_EVENT = 0, 1, 5, 7
PAUSE = b"_"  # with which the names of all pauses begin, among the phonemes


class Event(ctypes.Structure):
    """A moment in espeak's speech, at which a word or a phoneme begins (``espeak_EVENT``)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in characters, from 1
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("phoneme", ctypes.c_char * 8),
    )


Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


def toy_recordings(split: str, count: int, seed: int = 1) -> Dataset:
    """Synthesize descriptions of ``count`` scenes of a split; the recordings are cached.

    Each row's voice, rate, pitch and noise depend on split, seed and row alone.

    Returns:
        The columns audio (a dictionary of path, a file name, and bytes, a .flac file) and text.
    """
    generator = random.Random(f"paraphrases {split} {seed}")
    texts = [generator.choice(describe(scene, "en")) for scene in sample_scenes(split, count, seed)]
    key = f"voices-{VERSION}-{split}-{count}-{seed}"
    return cache.map_cached(
        Dataset.from_dict({"text": texts}),
        Synthesize(split, seed),
        key,
        "synthesizing speech of the toy world",
        cache.num_processes(count),
        with_indices=True,
        features=COLUMNS,
    )


@dataclass(frozen=True)
class SpokenWord:
    """A word of a synthesized text, with its begin and end in seconds.

    They are None where espeak-ng does not tell them: it speaks some pairs, as "of a", like one word.
    """

    text: str
    start: float | None
    end: float | None


class Synthesize:
    """Synthesizes a row; an object, so that it can be sent to other processes."""

    def __init__(self, split: str, seed: int):
        self.split, self.seed = split, seed

    def __call__(self, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        generator = self.generator(number)
        samples, _ = self.speak(row["text"], generator)
        loudness = float(np.sqrt(np.square(samples).mean()))
        noise_level = loudness * 10 ** (-generator.uniform(*NOISE_DB) / 20)
        noise = np.random.default_rng(generator.getrandbits(63)).standard_normal(len(samples), dtype=np.float32)
        file = io.BytesIO()
        soundfile.write(file, np.clip(samples + noise_level * noise, -1, 1), SAMPLE_RATE_HZ, format="flac")
        return {"audio": {"path": f"{self.split}-{number + 1:04}.flac", "bytes": file.getvalue()}}

    def generator(self, number: int) -> random.Random:
        """Return the generator of what is random in a row."""
        return random.Random(f"voice {self.split} {self.seed} {number}")

    def speak(self, text: str, generator: random.Random) -> tuple[Float[np.ndarray, " samples"], list[SpokenWord]]:
        """Synthesize a text with a random voice, rate and pitch, without noise: see ``synthesize_words``."""
        voice = f"gmw/{generator.choice(ACCENTS)}+{generator.choice(SPEAKERS[self.split])}"
        words_per_minute, pitch = generator.randint(*WORDS_PER_MINUTE), generator.randint(*PITCH)
        return synthesize_words(text, voice, words_per_minute=words_per_minute, pitch=pitch)


def unload(library: ctypes.CDLL) -> None:
    """Unload a library, so that loading it again begins with fresh state."""
    release = _ctypes.FreeLibrary if os.name == "nt" else _ctypes.dlclose  # each exists on its own system only
    release(library._handle)


def synthesize(text: str, voice: str, *, words_per_minute: int = 170, pitch: int = 50) -> Float[np.ndarray, " samples"]:
    """Synthesize a text: see ``synthesize_words``."""
    samples, _ = synthesize_words(text, voice, words_per_minute=words_per_minute, pitch=pitch)
    return samples


def synthesize_words(
    text: str, voice: str, *, words_per_minute: int = 170, pitch: int = 50
) -> tuple[Float[np.ndarray, " samples"], list[SpokenWord]]:
    """Synthesize a text with espeak-ng.

    The engine's flutter continues from one utterance to the next, and only loading the library again resets it. That
    takes some milliseconds, and makes the result independent of earlier calls, as does seeding the generator of the C
    library, from which some voices take their breath.

    Args:
        text: The text.
        voice: The path of an espeak-ng voice, with an optional variant: "gmw/en-US+m3".
        words_per_minute: The speaking rate.
        pitch: From 0 to 100.

    Returns:
        Samples from -1 to 1, ``SAMPLE_RATE_HZ`` per second, and the words of the text with their times.

    Raises:
        ValueError: espeak-ng does not have the voice.
    """
    import espeakng_loader  # of an extra, which tasks on other data don't need

    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    blocks: list[np.ndarray] = []
    events: list[Event] = []

    def receive(samples: Any, count: int, told: Any) -> int:
        if samples and count > 0:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        for event in itertools.takewhile(lambda event: event.type != NO_EVENT, told):
            events.append(Event.from_buffer_copy(event))
        return 0

    ctypes.CDLL("ucrtbase" if os.name == "nt" else None).srand(1)
    try:
        data = os.fsencode(espeakng_loader.get_data_path())
        engine_rate_hz = engine.espeak_Initialize(SYNCHRONOUS, 0, data, PHONEME_EVENTS)
        callback = Callback(receive)  # must stay referenced as long as the engine runs
        engine.espeak_SetSynthCallback(callback)
        if engine.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        engine.espeak_SetParameter(RATE_PARAMETER, words_per_minute, 0)
        engine.espeak_SetParameter(PITCH_PARAMETER, pitch, 0)
        content = text.encode()
        engine.espeak_Synth(content, len(content) + 1, 0, 1, 0, UTF8, None, None)
        engine.espeak_Synchronize()
        engine.espeak_Terminate()
    finally:
        unload(engine)
    samples = np.concatenate(blocks).astype(np.float32) / 32768
    resampled = np.clip(resample_poly(samples, SAMPLE_RATE_HZ, engine_rate_hz), -1, 1)  # filters overshoot
    return resampled.astype(np.float32), words_of_events(text, events, engine_rate_hz)


def words_of_events(text: str, events: Sequence[Event], rate_hz: int) -> list[SpokenWord]:
    """Return the words of a text with the times that espeak tells: a word ends where another or a pause begins."""
    starts = {event.text_position - 1: event.sample / rate_hz for event in events if event.type == WORD_EVENT}
    pauses = [
        event.sample / rate_hz
        for event in events
        if event.type == END_EVENT or (event.type == PHONEME_EVENT and event.phoneme.startswith(PAUSE))
    ]
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    words: list[SpokenWord] = []
    for (begin, end), (following, _) in itertools.zip_longest(spans, spans[1:], fillvalue=(len(text), len(text))):
        start = starts.get(begin)
        is_told = start is not None and (following in starts or following == len(text))
        ends = [time for time in (*pauses, starts.get(following)) if time is not None and is_told and time > start]
        words.append(SpokenWord(text[begin:end], start, min(ends, default=None)))
    return words
