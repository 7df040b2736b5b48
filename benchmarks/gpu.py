"""Test, train and decode on a GPU in under eight minutes, and write a report.

    python benchmarks/gpu.py --out FOLDER

Each section is a process of its own with a limit of time, so that none of them stops the others:

tests       the tests that need a GPU
float32     training and beam search in each modality, beside the limit that cuDNN's LSTM and the products alone allow;
bf16        of text 1,000 sentences are searched for
compiled    the same in float32 by torch.compile: the loss of a batch, and a step of the decoder
cpu         the same in float32 on two cores

FOLDER gets report.json, report.md, and in logs what each section has printed. The exit code is 1 if a section failed.
``--device cpu --small`` does all but the tests in a small size, to try the script where there is no GPU.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
MODALITIES = ("text", "speech", "images", "videos")
MODEL = "lstm"  # of candidates.py
GOALS = {
    "share of the limit of cuDNN's LSTM and products": 0.5,
    "times two CPU cores": 10.0,
    "seconds for 1,000 sentences": 2.0,
}


@dataclass(frozen=True)
class Size:
    """How much a section does.

    Attributes:
        steps: Training steps that are timed, after as many others.
        sources: Sources that are decoded, of text and of media.
        cpu_steps: The same on two CPU cores.
        is_small: Whether networks and data are shrunk.
    """

    steps: int
    sources: tuple[int, int]
    cpu_steps: int
    is_small: bool


FULL = Size(steps=40, sources=(1000, 160), cpu_steps=3, is_small=False)
SMALL = Size(steps=1, sources=(4, 2), cpu_steps=1, is_small=True)
SMALL_NETWORK = {"hidden_dim": 16, "embedding_dim": 16, "channels": 16, "max_sources": 8, "num_heads": 1}
LIMIT_S = 470.0  # of all sections together


@dataclass(frozen=True)
class Section:
    """A part of the program.

    Attributes:
        name: Its name, which is also that of its log.
        run: Does it, in a process of its own, and returns what is reported.
        arguments: Those of ``run``.
        seconds: The limit of its time.
    """

    name: str
    run: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]
    seconds: float


def plan_sections(device: str, modalities: list[str], size: Size, data: Path) -> list[Section]:
    """List the sections, the most important ones first."""
    sections = [Section("tests", run_tests, (), 150.0)] if device != "cpu" else []
    for kind, precision in (("float32", "no"), ("bf16", "bf16"), ("compiled", "no"), ("cpu", "no")):
        for modality in modalities:
            steps = size.cpu_steps if kind == "cpu" else size.steps
            sources = size.cpu_steps if kind == "cpu" else size.sources[modality != "text"]
            flags = ["--data", str(data / modality), "--precision", precision]
            flags += ["--device", "cpu" if kind == "cpu" else device, "--threads", "2"]
            flags += ["--warmup", str(steps), "--steps", str(steps), "--sources", str(sources)]
            run, seconds = (run_compiled, 90.0) if kind == "compiled" else (run_measurement, 45.0)
            seconds *= 4 if size.is_small else 1  # a slow machine is no failure there
            sections.append(Section(f"{kind} {modality}", run, ([modality, MODEL, *flags], size.is_small), seconds))
    return sections


def run_tests() -> dict[str, Any]:
    """Run the tests that need a GPU. Raises RuntimeError if one failed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", "tests/tasks/test_gpu.py"]
    finished = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    print(finished.stdout)
    if finished.returncode:
        raise RuntimeError(finished.stdout.strip().splitlines()[-1])
    return {"summary": finished.stdout.strip().splitlines()[-1]}


def run_measurement(arguments: list[str], is_small: bool) -> dict[str, Any]:
    """Measure a model as measure.py does, given its arguments."""
    return measure(arguments, is_small, is_compiled=False)


def run_compiled(arguments: list[str], is_small: bool) -> dict[str, Any]:
    """Measure a model whose loss and whose decoder's step are compiled."""
    return measure(arguments, is_small, is_compiled=True)


def measure(arguments: list[str], is_small: bool, *, is_compiled: bool) -> dict[str, Any]:
    """Measure a model, given the arguments of measure.py."""
    import hardware_limit  # with all of the project: imported in the section's own process
    import measure as measurement

    from tasks.common.allocation import keep_freed_memory
    from tasks.common.device import use_device

    options = measurement.build_parser().parse_args(arguments)
    if is_small:
        configs = measurement.MODALITIES[options.modality].configs
        configs[MODEL] = shrink(configs[MODEL])
        hardware_limit.PEAK_SIDE = dict.fromkeys(hardware_limit.PEAK_SIDE, 64)
    torch.set_num_threads(options.threads)
    use_device(options.device)
    keep_freed_memory()  # as our commands do
    with tempfile.TemporaryDirectory() as folder:
        candidate = measurement.build_candidate(
            options.modality, options.candidate, options.data, options.precision, Path(folder)
        )
        if is_compiled:
            # Tracing alone on a CPU, where the default backend needs a C++ compiler.
            backend = "eager" if options.device == "cpu" else "inductor"
            candidate.model.compile(backend=backend, dynamic=True)
            decoder = candidate.model.decoder
            decoder.step = torch.compile(decoder.step, backend=backend, dynamic=True)
        return measurement.measure(candidate, options)


def shrink(config: Any) -> Any:
    """Return a configuration with the sizes of SMALL_NETWORK."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = shrink(value)
        elif field.name in SMALL_NETWORK:
            size = SMALL_NETWORK[field.name]
            changed[field.name] = (size,) * len(value) if isinstance(value, tuple) else size
    return dataclasses.replace(config, **changed)


def run_section(section: Section, device: str, out: Path, seconds: float) -> dict[str, Any]:
    """Run a section in a process of its own, and return its record.

    Args:
        section: The section.
        device: The device; a process that was forked could not use a GPU.
        out: The folder of the report.
        seconds: The limit of its time.
    """
    logs = out / "logs"
    logs.mkdir(exist_ok=True)
    name = section.name.replace(" ", "-")
    result_file, log = logs / f"{name}.json", logs / f"{name}.txt"
    start = time.monotonic()
    context = multiprocessing.get_context("forkserver" if device == "cpu" and os.name != "nt" else "spawn")
    context.set_forkserver_preload(["measure", "torch._dynamo"])  # which every optimizer imports
    process = context.Process(target=call, args=(section, result_file, log))
    process.start()
    process.join(seconds)
    is_late = process.is_alive()
    if is_late:
        process.kill()
        process.join()
    record: dict[str, Any] = {"section": section.name, "seconds": round(time.monotonic() - start, 1)}
    if not is_late and process.exitcode == 0:
        return record | {"status": "done", "result": json.loads(result_file.read_text(encoding="utf-8"))}
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] if log.is_file() else []
    reason = f"stopped after {seconds:.0f} s" if is_late else "".join(last) or f"exit code {process.exitcode}"
    return record | {"status": "failed", "reason": reason}


def call(section: Section, result_file: Path, log: Path) -> None:
    """Run a section in this process, with its output in a file, and save its result."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    try:
        result_file.write_text(json.dumps(section.run(*section.arguments)), encoding="utf-8")
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def describe_machine(device: str) -> dict[str, Any]:
    """Return what the numbers depend on: the device, its driver, and the versions."""
    machine = {"device": device, "torch": torch.__version__, "python": platform.python_version()}
    if device == "cpu":
        return machine | {"name": platform.processor() or platform.machine()}
    properties = torch.cuda.get_device_properties(device)
    return machine | {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def compare_with_goals(results: dict[str, dict[str, Any]], num_sentences: int) -> list[dict[str, Any]]:
    """Return the goals of each modality with what was reached, as far as it was measured."""
    found: list[dict[str, Any]] = []

    def add(what: str, goal: str, value: float, *, is_reached: bool) -> None:
        found.append({"what": what, "goal": goal, "wanted": GOALS[goal], "value": value, "is_reached": is_reached})

    share, times, seconds = GOALS
    for modality in MODALITIES:
        measured, cpu = results.get(f"float32 {modality}"), results.get(f"cpu {modality}")
        if measured is not None:
            value = measured["share_of_recurrent_limit"]
            add(modality, share, value, is_reached=value >= GOALS[share])
        if measured is not None and cpu is not None:
            value = measured["train_tokens_per_second"] / cpu["train_tokens_per_second"]
            add(modality, times, value, is_reached=value >= GOALS[times])
    text = results.get("float32 text")
    if text is not None and num_sentences == 1000:
        value = num_sentences / text["decode_sentences_per_second"]
        add("text", seconds, value, is_reached=value <= GOALS[seconds])
    return found


def format_report(report: dict[str, Any]) -> str:
    """Return a report as Markdown."""
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    lines = [f"# {report['command']}", "", f"{machine}; {report['seconds']:.0f} s.", ""]
    lines += ["| section | s | train tokens/s | share of the limit | decoded sentences/s | peak MiB, train | decode |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for record in report["sections"]:
        result = record.get("result", {})
        cells = [record["section"], f"{record['seconds']:.0f}"]
        if "train_tokens_per_second" in result:
            cells += [f"{result['train_tokens_per_second']:,.0f}", f"{result['share_of_recurrent_limit']:.2f}"]
            cells += [f"{result['decode_sentences_per_second']:,.1f}"]
            cells += [f"{result[f'{part}_peak_bytes'] / 2**20:,.0f}" for part in ("train", "decode")]
        else:
            cells += [record.get("reason", result.get("summary", "")).replace("|", "/"), *[""] * 4]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| goal | of | wanted | reached |", "|---|---|---|---|"]
    for goal in report["goals"]:
        lines.append(
            f"| {goal['goal']} | {goal['what']} | {goal['wanted']:g} | {goal['value']:.2f}, "
            f"{'yes' if goal['is_reached'] else 'no'} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the benchmark from the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--small", action="store_true", help="a small size, to try the script")
    parser.add_argument("--modalities", nargs="+", choices=MODALITIES, default=MODALITIES)
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        parser.error("--device: there is no GPU; to try the script on a CPU use --device cpu --small")
    size = SMALL if options.small else FULL
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Section("data", save_data, (Path(folder), options.modalities, options.small), 60.0)
        records: list[dict[str, Any]] = []
        for section in [data, *plan_sections(options.device, options.modalities, size, Path(folder))]:
            left = LIMIT_S - (time.monotonic() - start)
            if left > 0:
                record = run_section(section, options.device, options.out, min(section.seconds, left))
            else:
                record = {"section": section.name, "seconds": 0.0, "status": "failed", "reason": "no time was left"}
            records.append(record)
            print(f"{record['section']:16} {record['status']:7} {record['seconds']:6.1f} s  {record.get('reason', '')}")
    results = {record["section"]: record["result"] for record in records if record["status"] == "done"}
    report = {
        "command": " ".join(["benchmarks/gpu.py", "--device", options.device, *(["--small"] if options.small else [])]),
        "machine": describe_machine(options.device),
        "seconds": round(time.monotonic() - start, 1),
        "sections": records,
        "goals": compare_with_goals(results, size.sources[0]),
    }
    (options.out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (options.out / "report.md").write_text(format_report(report), encoding="utf-8")
    print(f"the report is in {options.out / 'report.md'}")
    return 0 if all(record["status"] == "done" for record in records) else 1


def save_data(folder: Path, modalities: list[str], is_small: bool) -> dict[str, Any]:
    """Write synthetic data of each modality into a folder of its name."""
    from candidates import MODALITIES as SPECS

    for name in modalities:
        spec = SPECS[name]
        (folder / name).mkdir()
        spec.save_data(folder / name, 24 if is_small else spec.num_examples, 12 if is_small else spec.num_words)
    return {}


if __name__ == "__main__":
    sys.exit(main())
