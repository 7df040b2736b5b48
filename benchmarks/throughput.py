"""Measure the speed of training and decoding in four modalities, beside the hardware's limit and other toolkits.

    python benchmarks/throughput.py [--joeynmt PYTHON] [--speechbrain PYTHON] [--json FILE]

Nothing else is needed: the data are synthetic, unless --data names a folder with Multi30k. Every model, ours or a
peer's, is measured in a process of its own (measure.py, joeynmt_peer.py), once in each round, so that whatever else the
machine does affects all of them; medians over the rounds are printed, with the least and the greatest value. What is
the same for all of them, and what is not, is in benchmarks/README.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from candidates import MODALITIES
from first_output import prediction_command, save_model, seconds_to_first_line
from peers import PEERS

from tasks.common.console import console
from tasks.common.files import save_json

HERE = Path(__file__).parent
JOEYNMT, SPEECHBRAIN = "joeynmt", "speechbrain"  # the peers that have to be installed by the user
OUR_COUNTERPART = {
    JOEYNMT: "lstm_input_feeding",
    **{name: builder.model for peers in PEERS.values() for name, builder in peers.items()},
}

Report = dict[str, float]
Reports = dict[str, list[Report]]  # of each candidate, one for each round


def megabytes(number: float) -> float:
    return number / 1e6


def as_is(number: float) -> float:
    return number


COLUMNS: dict[str, tuple[str, Callable[[float], float], int]] = {  # the key, its conversion, its decimals
    "train_examples_per_second": ("training, examples/s", as_is, 1),
    "train_tokens_per_second": ("target tokens/s", as_is, 0),
    "share_of_products_limit": ("share of products' limit", as_is, 2),
    "share_of_recurrent_limit": ("of that with torch's layers", as_is, 2),
    "train_peak_bytes": ("peak MB", megabytes, 0),
    "decode_sentences_per_second": ("decoding, sentences/s", as_is, 1),
    "decode_tokens_per_second": ("tokens/s", as_is, 0),
    "decode_peak_bytes": ("peak MB", megabytes, 0),
    "first_output_s": ("first output, s", as_is, 1),
}
COMPARED = ("train_tokens_per_second", "decode_sentences_per_second", "train_peak_bytes", "first_output_s")


class Bench:
    """A modality with its data in a folder, and the commands that measure its candidates."""

    def __init__(self, modality: str, folder: Path, options: argparse.Namespace):
        """Write synthetic data into the folder, unless the options name data."""
        self.modality, self.folder, self.options = modality, folder, options
        self.data = options.data if modality == "text" and options.data else folder / "data"
        if self.data != options.data:
            self.data.mkdir(parents=True)
            spec = MODALITIES[modality]
            spec.save_data(self.data, spec.num_examples, spec.num_words)
        self.runs: dict[str, list[str]] = {}  # the command of the first output of each candidate that has one

    def candidates(self) -> list[str]:
        """List our models and the peers that are installed."""
        installed = {JOEYNMT: self.options.joeynmt, SPEECHBRAIN: self.options.speechbrain}
        peers = [*PEERS[self.modality], *([JOEYNMT] if self.modality == "text" else [])]
        return [*MODALITIES[self.modality].configs, *(name for name in peers if installed.get(name, True))]

    def prepare_first_output(self) -> None:
        """Save a model of each candidate, for the time to the first sentence."""
        for name in self.candidates():
            folder = self.folder / "runs" / name
            if name not in (JOEYNMT, SPEECHBRAIN) and save_model(self.modality, name, self.data, folder):
                self.runs[name] = prediction_command(self.modality, name, self.data, folder, self.options.device)

    def measure(self, name: str) -> Report:
        """Measure a candidate once, in a process of its own."""
        report = run_json(self.joeynmt_command() if name == JOEYNMT else self.command(name), self.options.threads)
        if name in self.runs:
            report["first_output_s"] = seconds_to_first_line(self.runs[name], self.options.threads)
        return report

    def command(self, name: str) -> list[str]:
        options = self.options
        python = options.speechbrain if name == SPEECHBRAIN else sys.executable
        flags = {"--data": self.data, "--device": options.device, "--precision": options.precision}
        flags |= {"--threads": options.threads, "--warmup": options.warmup, "--steps": options.steps}
        return [
            python,
            str(HERE / "measure.py"),
            self.modality,
            name,
            *flatten(flags),
            "--sources",
            str(options.sources),
        ]

    def joeynmt_command(self) -> list[str]:
        options, size = self.options, MODALITIES["text"].configs[OUR_COUNTERPART[JOEYNMT]].vocabulary.size
        flags = {"--source": self.data / "train.en", "--target": self.data / "train.de", "--device": options.device}
        flags |= {"--source-vocab-size": size, "--target-vocab-size": size, "--threads": options.threads}
        flags |= {"--warmup": options.warmup, "--steps": options.steps, "--sentences": options.sources}
        length = MODALITIES["text"].output_length
        return [options.joeynmt, str(HERE / "joeynmt_peer.py"), *flatten(flags), "--length", str(length)]


def flatten(flags: Mapping[str, object]) -> list[str]:
    return [str(part) for pair in flags.items() for part in pair]


def run_json(command: list[str], threads: int) -> Report:
    """Run a command and return the JSON object that it prints; end the program if it fails."""
    finished = subprocess.run(command, capture_output=True, text=True, env=child_environment(threads))
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{finished.stderr[-3000:]}")
    return json.loads(finished.stdout)


def child_environment(threads: int) -> dict[str, str]:
    """Return the variables of the environment in which a candidate finds this project, and its number of threads."""
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def describe_environment(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    is_gpu = options.device == "cuda"
    return {
        "device": torch.cuda.get_device_name(options.device) if is_gpu else cpu_name(),
        "threads": options.threads,
        "cores": os.cpu_count(),
        "precision": options.precision,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load_average": os.getloadavg(),
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
    }


def cpu_name() -> str:
    """Return the name of the processor, where the system tells it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def summarize(rounds: list[Report]) -> dict[str, tuple[float, float, float]]:
    """Return the median, the least and the greatest value of each quantity."""
    columns = {key: [report[key] for report in rounds] for key in COLUMNS if key in rounds[0]}
    return {key: (statistics.median(values), min(values), max(values)) for key, values in columns.items()}


def ratios_to_peer(ours: list[Report], peer: list[Report]) -> dict[str, tuple[float, float, float]]:
    """Return the same of the ratios of our quantities to a peer's in the same round."""
    pairs = list(zip(ours, peer, strict=True))
    keys = [key for key in COMPARED if key in ours[0] and key in peer[0]]
    ratios = {key: [own[key] / other[key] for own, other in pairs] for key in keys}
    return {key: (statistics.median(values), min(values), max(values)) for key, values in ratios.items()}


def to_table(results: Mapping[str, Reports]) -> str:
    """Return all results as one table in Markdown; a row in italics has the ratios of a row of ours to a peer's."""
    titles = ["", "parameters", *(title for title, _, _ in COLUMNS.values())]
    rows = [titles, ["---"] * len(titles)]
    for modality, reports in results.items():
        for name, rounds in reports.items():
            summary = summarize(rounds)
            cells = [
                to_cell(summary[key], convert, decimals) if key in summary else "–"
                for key, (_, convert, decimals) in COLUMNS.items()
            ]
            rows.append([f"{modality}: {name}", f"{rounds[0]['parameters']:,.0f}", *cells])
        for name, rounds in reports.items():
            ours = OUR_COUNTERPART.get(name)
            if ours is not None and ours in reports:
                ratios = ratios_to_peer(reports[ours], rounds)
                cells = [to_cell(ratios[key], as_is, 2) if key in ratios else "" for key in COLUMNS]
                sizes = reports[ours][0]["parameters"] / rounds[0]["parameters"]
                rows.append([f"*{ours} / {name}*", f"{sizes:.2f}", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def to_cell(values: tuple[float, float, float], convert: Callable[[float], float], decimals: int) -> str:
    """Return "median (least–greatest)"."""
    median, least, greatest = (f"{convert(value):,.{decimals}f}" for value in values)
    return f"{median} ({least}–{greatest})"


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modalities", nargs="+", choices=list(MODALITIES), default=list(MODALITIES))
    parser.add_argument("--data", type=Path, help="folder with Multi30k: train.en, train.de, val.en, val.de")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="no", choices=["no", "bf16"], help="of all but JoeyNMT")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=2, help="training steps before the clock starts")
    parser.add_argument("--steps", type=int, default=6, help="timed training steps in a round")
    parser.add_argument("--sources", type=int, default=48, help="sources decoded in a round")
    parser.add_argument("--joeynmt", metavar="PYTHON", help="Python interpreter with JoeyNMT: measure it as well")
    parser.add_argument("--speechbrain", metavar="PYTHON", help="the same for SpeechBrain, with this project")
    parser.add_argument("--json", type=Path, help="file for every figure of every round")
    return parser


def main() -> None:
    """Run the benchmark from the command line."""
    options = build_parser().parse_args()
    results: dict[str, Reports] = {}
    environment = describe_environment(options)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")  # features of synthetic data are nobody's
        for modality in options.modalities:
            bench = Bench(modality, Path(folder) / modality, options)
            bench.prepare_first_output()
            reports = results[modality] = {name: [] for name in bench.candidates()}
            for number in range(options.rounds):
                for name, rounds in reports.items():
                    rounds.append(bench.measure(name))
                    console.print(f"{modality}, round {number + 1}, {name}: {json.dumps(rounds[-1])}")
                environment["load_average_at_end"] = os.getloadavg()
                if options.json:  # a candidate that fails later loses nothing
                    save_json(
                        options.json,
                        {
                            "environment": environment,
                            "options": {name: str(value) for name, value in vars(options).items()},
                            "results": results,
                        },
                    )
    print(", ".join(f"{name} {value}" for name, value in environment.items()))
    print(f"medians of {options.rounds} rounds (least–greatest)\n")
    print(to_table(results))


if __name__ == "__main__":
    main()
