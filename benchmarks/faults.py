"""Break trainings in all the ways a machine breaks them, and check that nothing is lost and nobody is misled.

    python benchmarks/faults.py                      all kinds, 100 kills
    python benchmarks/faults.py kills --seed 2       one kind

Each training is the command line with a tiny preset, in a fork of this process, which has imported everything. A trial
holds if the run ends with exactly the weights, losses and files of an uninterrupted one, or if the command says in one
line what is wrong. It prints a line for each trial that does not hold, and the counts of each kind. Linux only.
"""

import argparse
import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from fault_trials import (
    AVERAGE,
    END_S,
    PROGRAM,
    STEP_S,
    TASK,
    TIMEOUT_S,
    Campaign,
    Operations,
    Training,
    Trial,
    difference,
    orphans,
)


def kills(campaign: Campaign) -> Iterator[Trial]:
    """kill -9 at a random moment, or before a random operation on files; half with an empty cache."""
    for trial in range(campaign.num_kills):
        folder, label = campaign.new_run(), ""
        if trial % 2:
            campaign.new_cache()
        trainings = []
        while not trainings or campaign.random.random() < 0.3:  # some are killed again when they are resumed
            kill_at = campaign.random.randint(1, campaign.num_operations) if campaign.random.random() < 0.5 else 0
            training = campaign.start(folder, prepare=Operations(kill_at))
            trainings.append(training)
            seconds = campaign.random.uniform(0, campaign.seconds)
            label += f"operation {kill_at} " if kill_at else f"{seconds:.2f} s "
            if not kill_at:
                time.sleep(seconds)
                training.kill()
            training.wait()
        yield label, campaign.outcome(folder) or next(filter(None, map(orphans, trainings)), None)


def terminations(campaign: Campaign) -> Iterator[Trial]:
    """SIGTERM at a random moment."""
    for _ in range(campaign.num_kills // 5):
        folder, seconds = campaign.new_run(), campaign.random.uniform(0, campaign.seconds)
        training = campaign.start(folder)
        time.sleep(seconds)
        training.kill(signal.SIGTERM)
        code = training.wait()
        wrong = None if code in (0, -signal.SIGTERM, 128 + signal.SIGTERM) else f"exit code {code}: {training.output}"
        yield f"{seconds:.2f} s", wrong or campaign.outcome(folder) or orphans(training)


def truncations(campaign: Campaign) -> Iterator[Trial]:
    """A file of a stopped run that is cut short, emptied or missing: noticed before training, or made again."""
    for share in (0.6, 0.95):  # the second is killed in the end, where the files of the best evaluations are needed
        stopped = campaign.interrupted_run(share)
        for file in sorted(path for path in stopped.rglob("*") if path.is_file() and path.name != ".lock"):
            for left in (0.0, 0.5, 0.99, None):
                folder, name = campaign.new_run(), file.relative_to(stopped)
                shutil.copytree(stopped, folder)
                if left is None:
                    (folder / name).unlink()
                else:
                    os.truncate(folder / name, int(left * file.stat().st_size))
                training = campaign.start(folder, "--resume")
                code = training.wait()
                is_noticed = name.name in training.output and "Traceback" not in training.output
                is_refused = code == 2 and is_noticed and "epoch" not in training.output
                wrong = training.output[-600:] if code else not is_noticed and difference(folder, campaign.expected)
                label = f"{name} {'missing' if left is None else f'cut to {left:.0%}'}, killed at {share:.0%}"
                yield label, None if is_refused else wrong or None


def half_copies(campaign: Campaign) -> Iterator[Trial]:
    """A run that is moved, copied, or predicted with while files are missing or cut short."""
    stopped = campaign.interrupted_run()
    copied, moved = Path(f"{stopped}-copied"), Path(f"{stopped}-moved")
    shutil.copytree(stopped, copied)
    yield "copied", campaign.outcome(copied)
    yield "moved", campaign.outcome(stopped.rename(moved))
    sound = campaign.folder / "sound.wav"
    soundfile.write(sound, np.zeros(16_000) + 0.1, 16_000)
    for name in ("config.json", "vocabulary.json", "best.safetensors", "domain.json"):
        for share in (0.0, 0.5, 0.99):
            folder = campaign.new_run()
            shutil.copytree(campaign.expected, folder)
            os.truncate(folder / name, int(share * (folder / name).stat().st_size))
            arguments = [TASK, "predict", str(folder), str(sound)]
            training = Training(arguments, campaign.new_path("log"))
            yield f"predict, {name} cut to {share:.0%}", campaign.refusal(training)


def caches(campaign: Campaign) -> Iterator[Trial]:
    """A cached file that is cut short or damaged; two runs that fill the same cache at once."""
    for file in sorted(path for path in campaign.cache.iterdir() if "voices" not in path.name):
        content = file.read_bytes()
        damaged = {
            "emptied": b"",
            "cut in half": content[: len(content) // 2],
            "one byte short": content[:-1],
            "other beginning": b"\x01" + content[1:],
            "other end": content[:-1] + b"\x01",
        }
        for label, left in damaged.items():
            (campaign.new_cache(filled=True) / file.name).write_bytes(left)
            yield f"{file.name} {label}", campaign.outcome(campaign.new_run())
        for _ in range(3):
            left = bytearray(content)
            for _ in range(20):
                left[campaign.random.randrange(len(left))] ^= 1 << campaign.random.randrange(8)
            (campaign.new_cache(filled=True) / file.name).write_bytes(left)
            yield f"{file.name}, 20 bits", campaign.outcome(campaign.new_run())
    for _ in range(5):
        cache = campaign.new_cache()
        folders = [campaign.new_run(), Path(f"{campaign.new_run()}-too")]
        for training in [campaign.start(folder) for folder in folders]:
            training.wait()
        wrong = [campaign.outcome(folder) for folder in folders]
        stray = sorted({file.name for file in cache.iterdir()} ^ {file.name for file in campaign.cache.iterdir()})
        yield "two runs at once", next(filter(None, wrong), f"other files: {stray}" if stray else None)


def two_trainings(campaign: Campaign) -> Iterator[Trial]:
    """Two trainings in the same folder at once: the second is refused, the first not disturbed."""
    for flags in ([], ["--resume"]):
        folder = campaign.new_run()
        first = campaign.start(folder)
        while not (folder / "config.json").exists():
            time.sleep(STEP_S)
        arguments = [TASK, "train", "tiny", "--run", str(folder), *flags]
        refused = campaign.refusal(Training(arguments, campaign.new_path("log")))
        disturbed = f"the first one: {first.output[-600:]}" if first.wait() else None
        yield " ".join(["second", *flags]), refused or disturbed or campaign.outcome(folder)


def disks(campaign: Campaign) -> Iterator[Trial]:
    """A disk that is full: a tmpfs of some hundred KiB; after the line, the run goes on where there is room."""
    for size_kib in (4, 40, 200, 300, 400, 500, 600):
        folder = campaign.folder / f"disk-{size_kib}"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True).returncode:
            print("disks: skipped, since a tmpfs can't be mounted here")
            return
        try:
            training = campaign.start(folder / "run")
            code = training.wait()
            line = "No space left" in training.output and "Traceback" not in training.output and code == 2
            moved = campaign.new_run()
            if (folder / "run").is_dir():
                shutil.copytree(folder / "run", moved)
            wrong = None if code == 0 or line else f"exit code {code}: {training.output[-600:]}"
            yield f"{size_kib} KiB", wrong or campaign.outcome(moved)
        finally:
            subprocess.run(["umount", str(folder)], check=True)


def read_only(campaign: Campaign) -> Iterator[Trial]:
    """A run folder on a disk that can't be written."""
    folder = campaign.interrupted_run()
    if subprocess.run(["mount", "--bind", "-o", "ro", str(folder), str(folder)], capture_output=True).returncode:
        print("read_only: skipped, since a folder can't be mounted here")
        return
    try:
        yield "resume", campaign.refusal(campaign.start(folder))
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    yield "writable again", campaign.outcome(folder)


def parents(campaign: Campaign) -> Iterator[Trial]:
    """kill -9 of a training that has processes of its own: none of them lives on."""
    tiny = ["train", "tiny", "--run"]
    for label, task, flags in (
        ("extracting features", "speech_recognition", ["--num-scenes", "1200"]),
        ("collating batches", "speech_recognition", ["--train.num-workers", "1"]),
        ("tokenizing in Java", "image_captioning", []),
    ):
        for _ in range(3):
            campaign.new_cache()
            arguments = [task, *tiny, str(campaign.new_run()), *flags]
            training = Training(arguments, campaign.new_path("log"))
            deadline = time.monotonic() + TIMEOUT_S
            while len(training.descendants()) < 1 + (label == "extracting features"):
                if time.monotonic() > deadline:
                    break
                time.sleep(STEP_S / 10)
            time.sleep(campaign.random.uniform(0, 0.2))
            had = len(training.descendants())
            training.kill()
            training.wait()
            yield f"{label}, {had} processes", orphans(training) if had else "it had none"


def processes(campaign: Campaign) -> Iterator[Trial]:
    """One of two processes of a training is killed: the other one ends, with a line."""
    for victim in (0, 1):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = str(server.getsockname()[1])
        folder = campaign.new_run()
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
        flags = ["--train.epochs", "999", "--train.early-stopping-patience", "0"]
        command = [sys.executable, str(PROGRAM), TASK, "train", "tiny", "--run", str(folder), *AVERAGE, *flags]
        logs = [campaign.new_path("log") for _ in "01"]
        pair = []
        for rank, log in zip("01", logs, strict=True):
            environment = {**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank}
            pair.append(subprocess.Popen(command, env=environment, stderr=log.open("wb")))
        deadline = time.monotonic() + TIMEOUT_S
        while not (folder / "best.safetensors").is_file() and time.monotonic() < deadline:
            time.sleep(STEP_S)
        pair[victim].kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            pair[1 - victim].wait(END_S)
        code, errors = pair[1 - victim].poll(), logs[1 - victim].read_text()
        for process in pair:
            process.kill()
            process.wait()
        has_line = code == 2 and "Traceback" not in errors and (victim == 0 or "error: " in errors)
        ended = "lives on" if code is None else f"exit code {code}"
        yield f"process {victim} killed", None if has_line else f"the other one: {ended}: {errors[-900:]}"


KINDS = {
    kind.__name__: kind
    for kind in (
        kills,
        terminations,
        truncations,
        half_copies,
        caches,
        two_trainings,
        disks,
        read_only,
        parents,
        processes,
    )
}


@dataclasses.dataclass
class Count:
    held: int = 0
    trials: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="kinds of faults (default: all)")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts = {name: Count() for name in options.kinds or KINDS}
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), options.kills, options.seed)
        for name, count in counts.items():
            started = time.monotonic()
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C goes on with the next kind
                for label, problem in KINDS[name](campaign):
                    count.trials, count.held = count.trials + 1, count.held + (problem is None)
                    if problem is not None:
                        print(f"{name}, {label}: {problem}", flush=True)
            print(f"{name}: {count.held} of {count.trials} hold, {time.monotonic() - started:.0f} s", flush=True)
    sys.exit(any(count.held < count.trials for count in counts.values()))


if __name__ == "__main__":
    main()
