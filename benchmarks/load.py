"""Much of everything: many inputs, long media, large tables, threads and epochs, in memory that stays flat.

    python benchmarks/load.py                          all checks
    python benchmarks/load.py recording video          some of them
    python benchmarks/load.py --scale 0.01             everything a hundred times smaller

Each check makes its inputs, and runs the command line as a user does, in a process whose memory and open files are
sampled, with those of its children. The program's own memory, which is in no file, is flat if its peak in the second
half of the work is at most 5 % above that in the first half. It prints a table, and exits with 1 if a limit is
exceeded. Linux only.
"""

import argparse
import csv
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image
from usage import MAX_GROWTH, MEGABYTE, PROGRAM, Usage, run

SAMPLE_RATE_HZ = 16_000
BLOCK_S = 60  # seconds of sound that are written at a time
FRAME_RATE = 25
MAX_TIMES = 8  # the size of a table
BASE = 1200  # megabytes that a small training or prediction takes
SHORT_S = 60  # the recording or video that a long one is compared with

Rows = Iterator[tuple[str, str, str, bool]]  # what was done, the limit, what was measured, and whether it holds


class Checks:
    """All checks, in a folder with a run of each task."""

    def __init__(self, folder: Path, scale: float):
        self.folder, self.scale = folder, scale

    def count(self, number: float, least: int = 1) -> int:
        """Scale a number."""
        return max(least, round(self.scale * number))

    def run_of(self, task: str) -> Path:
        """Return a run of a task, which is trained with the preset tiny if it is not there yet."""
        run_folder = self.folder / task
        if not run_folder.exists():
            usage = run(self.folder, task, "train", "tiny", "--run", run_folder)
            assert usage.code == 0, usage.errors
        return run_folder

    def predict(self, task: str, *arguments: object) -> Usage:
        return run(self.folder, task, "predict", self.run_of(task), *arguments)

    # ── Many inputs ─────────────────────────────────────────────────────────────────────────────────────────

    def inputs(self) -> Rows:
        """100,000 texts, images and recordings through ``predict``."""
        count = self.count(100_000, least=4000)
        for task, make in {
            "translation": self.sentences,
            "image_captioning": self.images,
            "speech_recognition": self.recordings,
        }.items():
            usage = self.predict(task, make(count))
            lines = usage.output.count("\n")
            limit = f"{count:,} lines; second half at most {MAX_GROWTH - 1:.0%} above the first"
            measured = f"{lines:,} lines, {usage.halves}"
            yield f"{count:,} inputs, {task}", limit, measured, usage.is_flat and lines == count

    def sentences(self, count: int) -> Path:
        """Write sentences, a tenth of them of unknown words, one in each line."""
        words = ["ein", "eine", "rote", "blaue", "Sieben", "Zwei", "über", "kleine"]
        draw = np.random.default_rng(1)
        path = self.folder / "sentences.txt"
        with path.open("w", encoding="utf-8") as file:
            for number in range(count):
                unknown = [f"x{number}y"] * 4 if number % 10 == 0 else []
                file.write(" ".join([*unknown, *draw.choice(words, size=draw.integers(2, 12))]) + "\n")
        return path

    def images(self, count: int) -> Path:
        """Make a folder with links to a few images."""
        draw = np.random.default_rng(1)

        def save(path: Path) -> None:
            Image.fromarray(draw.integers(256, size=(48, 64, 3), dtype=np.uint8)).save(path)

        return self.linked(count, ".png", save)

    def recordings(self, count: int) -> Path:
        """Make a folder with links to a few recordings of half a second."""
        draw = np.random.default_rng(1)

        def save(path: Path) -> None:
            soundfile.write(path, draw.normal(0, 0.1, SAMPLE_RATE_HZ // 2), SAMPLE_RATE_HZ)

        return self.linked(count, ".wav", save)

    def linked(self, count: int, suffix: str, save: Callable[[Path], None]) -> Path:
        """Make a folder with hard links to 50 files."""
        folder, originals = self.folder / f"many{suffix}", []
        folder.mkdir()
        for number in range(50):
            originals.append(self.folder / f"original-{number}{suffix}")
            save(originals[-1])
        for number, original in zip(range(count), itertools.cycle(originals), strict=False):
            os.link(original, folder / f"{number}{suffix}")
        return folder

    # ── Long media ──────────────────────────────────────────────────────────────────────────────────────────

    def recording(self) -> Rows:
        """A recording of three hours, read by soundfile and by FFmpeg."""
        hours = 3 * self.scale
        for suffix in (".flac", ".mp3"):
            short, long = (
                self.predict("speech_recognition", self.talk(seconds, suffix))
                for seconds in (SHORT_S, max(SHORT_S, 3600 * hours))
            )
            yield self.long_row(f"recording of {hours:g} hours, {suffix}", short, long, 800)

    def talk(self, seconds: float, suffix: str) -> Path:
        """Write noise with pauses, for speech."""
        path, draw = self.folder / f"talk-{seconds:.0f}{suffix}", np.random.default_rng(1)
        with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1) as file:
            for _ in range(round(seconds / BLOCK_S)):
                loudness = np.repeat(np.where(draw.random(BLOCK_S) < 0.25, 1e-3, 0.1), SAMPLE_RATE_HZ)
                file.write((draw.standard_normal(loudness.size) * loudness).astype(np.float32))
        return path

    def silence(self) -> Rows:
        """Small files of long silence, which are refused by what their headers say, or while they are decoded."""
        hours = 24
        for name, has_length in (("with its length in the header", True), ("without it", False)):
            path = self.folder / f"silence-{has_length}.flac"
            with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as file:
                for _ in range(hours * 60):
                    file.write(np.zeros(60 * 8000, dtype=np.int16))
            if not has_length:  # of 36 bits, of which these are not zero
                with path.open("r+b") as file:
                    file.seek(22)
                    file.write(bytes(4))
            short = self.predict("speech_recognition", self.talk(SHORT_S, ".flac"))
            usage = self.predict("speech_recognition", path)
            more = (usage.peak - short.peak) / MEGABYTE
            size = path.stat().st_size / MEGABYTE
            yield (
                f"silence of {hours} hours in a FLAC of {size:.1f} MB, {name}",
                "refused; 800 MB more than 60 s",
                f"exit code {usage.code}, {usage.errors.splitlines()[-1][-80:]}; {more:,.0f} MB more, "
                f"{usage.seconds:.0f} s",
                usage.code == 2 and "longer than" in usage.errors and more <= 800,
            )

    def video(self) -> Rows:
        """A video of two hours."""
        hours = 2 * self.scale
        short, long = (self.predict("video_to_text", self.film(s)) for s in (SHORT_S, max(SHORT_S, 3600 * hours)))
        yield self.long_row(f"video of {hours:g} hours", short, long, 200)

    def film(self, seconds: float) -> Path:
        """Write a small video of a moving square in noise, with a keyframe every ten seconds."""
        path, draw = self.folder / f"film-{seconds:.0f}.mp4", np.random.default_rng(1)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=FRAME_RATE, width=96, height=64, pix_fmt="yuv420p")
            stream.codec_context.gop_size = 10 * FRAME_RATE
            stream.codec_context.time_base = Fraction(1, FRAME_RATE)
            noise = draw.integers(256, size=(32, 64, 96, 3), dtype=np.uint8)
            for number in range(round(seconds * FRAME_RATE)):
                frame = av.VideoFrame.from_ndarray(noise[number % len(noise)], format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    def long_row(self, what: str, short: Usage, long: Usage, max_megabytes: int) -> tuple[str, str, str, bool]:
        """Compare the memory that a long input takes with that of a short one."""
        more = (long.peak - short.peak) / MEGABYTE
        text = long.output.strip()
        measured = f"{more:,.0f} MB more, {long.peak / MEGABYTE:,.0f} in all, {long.seconds:,.0f} s"
        holds = long.code == 0 and len(text) > 0 and more <= max_megabytes
        return what, f"{max_megabytes} MB more than {SHORT_S} s", measured, holds

    # ── Large tables ────────────────────────────────────────────────────────────────────────────────────────

    def tables(self) -> Rows:
        """Texts of 1 GB as ``--data``, in the memory of a few times as much, and as the input of ``predict``."""
        size = 1000 * self.scale * MEGABYTE
        for name, write in {"parallel": write_parallel, "csv": write_csv, "jsonl": write_jsonl}.items():
            folder = self.folder / f"table-{name}"
            folder.mkdir()
            write(folder, size)
            flags = "--source", "de", "--target", "en", "--train.max-minutes", "0.05"
            usage = run(self.folder, "translation", "train", "tiny", "--data", folder, "--run", f"{folder}-run", *flags)
            yield self.table_row(f"--data of {size / MEGABYTE:,.0f} MB, {name}", usage, 0, MAX_TIMES * size)
        path = self.folder / "line.txt"
        path.write_bytes(b"ein " * round(size / 4))
        usage = self.predict("translation", path)
        yield self.table_row(f"a line of {size / MEGABYTE:,.0f} MB to predict", usage, 2, MAX_TIMES * size)

    def table_row(self, what: str, usage: Usage, code: int, max_bytes: float) -> tuple[str, str, str, bool]:
        """Hold a command against an exit code and a limit of its memory, of which a small training takes a part."""
        limit = f"exit code {code}, {BASE + max_bytes / MEGABYTE:,.0f} MB"
        measured = f"exit code {usage.code}, {usage.peak / MEGABYTE:,.0f} MB, {usage.seconds:,.0f} s"
        is_clean = usage.code == code and "Traceback" not in usage.errors
        return what, limit, measured, is_clean and usage.peak <= BASE * MEGABYTE + max_bytes

    # ── Threads and epochs ──────────────────────────────────────────────────────────────────────────────────

    def threads(self) -> Rows:
        """50 predictions at once, in threads, give the same as one after the other."""
        sys.path.insert(0, str(PROGRAM.parent))
        from tasks import load

        count = 50
        lines = self.sentences(count).read_text(encoding="utf-8").splitlines()
        draw = np.random.default_rng(1)
        sounds = [draw.normal(0, 0.1, SAMPLE_RATE_HZ * (1 + number % 3)) for number in range(count)]
        images = [Image.fromarray(draw.integers(256, size=(48, 64, 3), dtype=np.uint8)) for _ in range(count)]
        videos = [draw.integers(256, size=(20, 32, 32, 3), dtype=np.uint8) for _ in range(count)]
        for task, inputs in {
            "translation": lines,
            "speech_recognition": sounds,
            "image_captioning": images,
            "video_to_text": videos,
        }.items():
            model = load(self.run_of(task))

            def outcome(value: object, model: Callable = model) -> object:
                prediction = model(value)
                return prediction.text, prediction.score, prediction.out_of_domain, prediction.words

            one_by_one = [outcome(value) for value in inputs]
            with ThreadPoolExecutor(count) as pool:
                at_once = list(pool.map(outcome, inputs))
            same = sum(a == b for a, b in zip(one_by_one, at_once, strict=True))
            yield f"{count} predictions at once, {task}", "all the same", f"{same} of {count}", same == count

    def epochs(self) -> Rows:
        """200 epochs of the preset tiny."""
        count, task = self.count(200, least=8), "speech_recognition"
        folder = self.folder / "epochs"
        flags = "--train.epochs", count, "--train.early-stopping-patience", 0
        usage = run(self.folder, task, "train", "tiny", "--run", folder, *flags, results=folder / "metrics.jsonl")
        whole = [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        is_whole = whole == list(range(1, count + 1))
        measured = f"{len(whole)} evaluations, {usage.halves}"
        limit = f"{count} evaluations; second half at most {MAX_GROWTH - 1:.0%} above the first"
        yield f"{count} epochs, {task}", limit, measured, usage.is_flat and is_whole


def pairs(size: float) -> Iterator[tuple[str, str]]:
    """Make different pairs of sentences of some 80 characters, of this size in all."""
    draw = np.random.default_rng(1)
    words = [f"wort{number}" for number in range(2000)]
    number = 0
    while size > 0:
        for row in draw.integers(len(words), size=(1000, 24)):
            number += 1
            chosen = [words[place] for place in row]
            pair = " ".join([f"{number}", *chosen[:10]]), " ".join([f"{number}", *chosen[10:22]])
            size -= sum(map(len, pair))
            yield pair


def write_parallel(folder: Path, size: float) -> None:
    with (folder / "corpus.de").open("w") as sources, (folder / "corpus.en").open("w") as targets:
        for source, target in pairs(size):
            sources.write(f"{source}\n")
            targets.write(f"{target}\n")


def write_csv(folder: Path, size: float) -> None:
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(itertools.chain([("de", "en")], pairs(size)))


def write_jsonl(folder: Path, size: float) -> None:
    with (folder / "table.jsonl").open("w") as file:
        file.writelines(json.dumps({"de": source, "en": target}) + "\n" for source, target in pairs(size))


CHECKS = ("inputs", "recording", "silence", "video", "tables", "threads", "epochs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", help=", ".join(CHECKS))
    parser.add_argument("--scale", type=float, default=1.0, help="size of everything")
    options = parser.parse_args()
    holds = True
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(Path(folder), options.scale)
        for name in options.checks or CHECKS:
            for what, limit, measured, is_right in getattr(checks, name)():
                holds &= is_right
                print(f"| {what} | {limit} | {measured} | {'holds' if is_right else 'EXCEEDED'} |", flush=True)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
