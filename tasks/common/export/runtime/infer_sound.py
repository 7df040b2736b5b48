"""Generate a sentence for each recording, a file at 16 kHz: infer.py FILE ... [--beam 5]"""

import numpy as np
import soundfile
from search import FOLDER, SETTINGS, main

SOURCE = SETTINGS["source"]
ARRAYS = np.load(FOLDER / "features.npz")  # window (samples), bands (mels, frequencies), mean and std of the features


def log_mel(samples):
    """Return the logarithms of the energies in mel bands, (frames, mels). The first frame is centered on sample 0."""
    window, fft_length = ARRAYS["window"], SOURCE["fft_length"]
    missing = fft_length - len(window)
    window = np.pad(window, (missing // 2, missing - missing // 2))
    padded = np.pad(samples, fft_length // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_length)[:: SOURCE["hop_length"]]
    energies = np.abs(np.fft.rfft(frames * window)) ** 2 @ ARRAYS["bands"].T
    return np.log(np.maximum(energies, SOURCE["min_energy"]))


def append_deltas(frames):
    """Append the slopes of the features over five frames, and those of the slopes."""
    planes = [frames]
    for _ in range(SOURCE["deltas"]):
        padded = np.pad(planes[-1], ((2, 2), (0, 0)), mode="edge")
        planes.append((padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10)
    return np.concatenate(planes, axis=1)


def read(file):
    """Return the normalized features of a recording, or of a .npy file of features, as a batch of one."""
    if file.endswith(".npy"):
        frames = np.load(file)
    else:
        samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
        if rate_hz != SOURCE["sample_rate_hz"]:
            raise SystemExit(f"{file} has {rate_hz} Hz: convert it, with ffmpeg -i FILE -ar {SOURCE['sample_rate_hz']}")
        frames = log_mel(samples.mean(axis=1))
    frames = append_deltas(frames.astype(np.float16).astype(np.float32))  # as the features in training
    if SOURCE["normalization"] in ("utterance", "both"):
        frames = frames - frames.mean(axis=0)
        frames = frames / np.maximum(frames.std(axis=0), SOURCE["min_std"])
    if SOURCE["normalization"] in ("global", "both"):
        frames = (frames - ARRAYS["mean"]) / ARRAYS["std"]
    return {"values": frames[None].astype(np.float32), "mask": np.ones((1, len(frames)), dtype=bool)}


if __name__ == "__main__":
    main(read)
