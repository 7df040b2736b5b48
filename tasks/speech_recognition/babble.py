"""Babble: other recordings of a dataset, all at once, as background noise."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from tasks.common.data.media_files import MediaError, file_content
from tasks.speech_recognition.features import SAMPLE_RATE_HZ
from tasks.speech_recognition.sound import peak_of, read_sound, sound_problem

NUM_TALKERS = 4

Samples = Float[np.ndarray, " samples"]


class Babble:
    """Adds the sum of NUM_TALKERS equally loud recordings to another one, as noise (Snyder et al. 2015).

    It consists of what is to be transcribed, which makes it the hardest of the usual noises.
    """

    def __init__(self, recordings: Sequence[Mapping[str, Any]], snrs_db: Sequence[float]):
        """Set up the noise.

        Args:
            recordings: The path or the bytes of each recording; those that can't be read are passed over.
            snrs_db: The signal-to-noise ratios in dB.
        """
        self.recordings, self.snrs_db = recordings, snrs_db

    def __call__(self, samples: Samples, row: int) -> list[Samples]:
        """Return the recording of a row with noise at each ratio, the same whenever it is called.

        Raises:
            MediaError: there is no other recording.
        """
        noisy = []
        for level, snr_db in enumerate(self.snrs_db):
            random = np.random.default_rng((row, level))
            talkers: list[np.ndarray] = []
            for other in random.permutation(len(self.recordings)):
                if len(talkers) == NUM_TALKERS:
                    break
                if other != row:
                    talkers += self.read_talker(int(other), random, len(samples))
            if not talkers:
                raise MediaError("has no other recording beside it, of which babble could be made")
            noisy.append(add_noise(samples, np.sum(talkers, axis=0), snr_db))
        return noisy

    def read_talker(self, row: int, random: np.random.Generator, length: int) -> list[Samples]:
        """Read a recording, scaled to an energy of 1, from a random place on; nothing if it can't be used."""
        file = self.recordings[row]
        try:
            samples = read_sound(file_content(file), SAMPLE_RATE_HZ)
        except MediaError:  # reported with its own row
            return []
        if sound_problem(len(samples), peak_of(samples), SAMPLE_RATE_HZ):
            return []
        samples = samples / np.sqrt(np.square(samples).mean())
        return [np.resize(np.roll(samples, -int(random.integers(len(samples)))), length)]


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add noise so loud that the mean energy of the signal is ``snr_db`` decibels above that of the noise."""
    energy = np.square(noise).mean() + np.finfo(np.float32).tiny  # the noise may be silent where the signal is not
    scale = np.sqrt(np.square(samples).mean() / energy / 10 ** (snr_db / 10))
    return (samples + scale * noise).astype(np.float32)
