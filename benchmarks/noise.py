"""Measure and plot the word error rate of models of sound, of lips and of both, with babble added to the sound.

    python benchmarks/noise.py --data GRID --out FOLDER \\
        --run "sound" speech_recognition RUN --run "lips" video_to_text RUN --run "both" audio_visual_speech RUN

The data are a folder with validation/metadata.jsonl, whose videos have different names and texts in the column text.
For each signal-to-noise ratio the validation split is copied to FOLDER with babble of its other recordings in the
sound tracks (tasks/speech_recognition/babble.py); the pictures are the same. Each model reads these files as it reads
any others. FOLDER/noise.json holds the scores, and FOLDER/noise.png shows them.
"""

import argparse
import json
from pathlib import Path

import av
import matplotlib
import numpy as np

from tasks.common.files import save_atomically, save_json
from tasks.common.inference.evaluation import evaluate
from tasks.common.inference.loading import load_runs
from tasks.speech_recognition.babble import Babble
from tasks.speech_recognition.data import read_transcribed_speech
from tasks.speech_recognition.extraction import read_speech
from tasks.speech_recognition.features import SAMPLE_RATE_HZ

matplotlib.use("agg")
from matplotlib import pyplot

SPLIT = "validation"


def copy_with_noise(data: str, folder: Path, snr_db: float) -> None:
    """Copy the split with noise in its sound tracks."""
    table = read_transcribed_speech(data, SPLIT, "text")
    babble = Babble(table["audio"], (snr_db,))
    lines = []
    (folder / SPLIT).mkdir(parents=True, exist_ok=True)
    for row, (audio, text) in enumerate(zip(table["audio"], table["text"], strict=True)):
        (noisy,) = babble(read_speech(audio["path"]), row)
        name = f"{Path(audio['path']).stem}.mkv"
        replace_sound(audio["path"], noisy, folder / SPLIT / name)
        lines.append(json.dumps({"file_name": name, "text": text}))
    save_atomically(folder / SPLIT / "metadata.jsonl", "".join(f"{line}\n" for line in lines))


def replace_sound(video: str, samples: np.ndarray, path: Path) -> None:
    """Copy the pictures of a video as they are, with another sound: 16 bits, quieter where it would be clipped."""
    with av.open(video) as source, av.open(str(path), "w") as target:
        pictures = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        peak = max(1.0, float(np.abs(samples).max()))  # features are normalized, so loudness does not matter
        whole = (samples / peak * (2**15 - 1)).round().astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
        target.mux([*sound.encode(frame), *sound.encode(None)])


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="Word error rates in noise.")
    parser.add_argument("--data", required=True, help="a folder of videos of speakers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", nargs=3, action="append", required=True, metavar=("LABEL", "TASK", "RUN"))
    parser.add_argument("--snrs", type=float, nargs="*", default=[20, 10, 5, 0, -5, -10])
    options = parser.parse_args()
    splits = {f"{snr_db:g}": options.out / f"snr{snr_db:g}" for snr_db in options.snrs}
    for snr_db, folder in splits.items():
        copy_with_noise(options.data, folder, float(snr_db))
    splits = {"clean": Path(options.data)} | splits
    scores = {}
    for label, task, run in options.run:
        scores[label] = {}
        for snr_db, folder in splits.items():
            predictor = load_runs(task, [Path(run)], data=str(folder))
            report = evaluate(predictor, SPLIT, predictor.task.config.search, options.out / f"{label}-{snr_db}")
            scores[label][snr_db] = {"wer": report["metrics"]["wer"], "interval": report["intervals"]["wer"]}
            print(f"{label:8} {snr_db:>6} dB  WER {report['metrics']['wer']:.2f}", flush=True)
    save_json(options.out / "noise.json", scores)
    plot(scores, options.out / "noise.png")


def plot(scores: dict[str, dict[str, dict]], path: Path) -> None:
    """Plot the error rates with their 95 % intervals over the signal-to-noise ratio."""
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for label, by_snr in scores.items():
        values = [score["wer"] for score in by_snr.values()]
        low, high = zip(*(score["interval"] for score in by_snr.values()), strict=True)
        (line,) = axes.plot(list(by_snr), values, marker="o", label=label)
        axes.fill_between(list(by_snr), low, high, color=line.get_color(), alpha=0.15)
    axes.set(xlabel="signal-to-noise ratio, dB", ylabel="word error rate, %", ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
