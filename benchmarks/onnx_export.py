"""Compare exported runs with PyTorch: their sentences, scores, sizes and speeds.

    python benchmarks/onnx_export.py RUN [RUN ...] [--examples 500] [--out FILE]

Each run of text, speech or images is exported in 32 and in 8 bits. Its inputs are those of its test split, then of its
validation and training splits until there are enough: recordings are written as wav files first, other inputs are read
from where they are. Both sides search for one input at a time, on one core, first greedily and then with a beam of 5;
times are those of encoding and searching, without reading. A run of CTC is compared with the greedy search alone, which
is what it is exported with.
"""

import argparse
import dataclasses
import functools
import importlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import soundfile
import torch

from tasks.common.cli.variants import to_markdown
from tasks.common.errors import UsageError
from tasks.common.export.folder import export_run
from tasks.common.files import save_atomically
from tasks.common.inference.loading import load_runs
from tasks.common.inference.predictor import Predictor
from tasks.common.run_config import task_of
from tasks.speech_recognition.data import read_transcribed_speech
from tasks.speech_recognition.sound import read_sound
from tasks.speech_recognition.task import SpeechRecognition

BEAMS = 1, 5
RATE_HZ = 16_000

Sentences = dict[int, list[str]]  # for each beam


def load_inputs(task: Any, count: int, folder: Path) -> tuple[list[str], list[list[str]], tuple[Any, ...]]:
    """Return inputs as a user would give them, the references of each, and the metrics."""
    inputs: list[str] = []
    references: list[list[str]] = []
    metrics: tuple[Any, ...] = task.metrics
    for split in ("test", "validation", "train"):
        if len(inputs) == count:
            break
        try:
            examples = task.load(split)
        except UsageError:  # not all data have a test split
            continue
        metrics = metrics or task.metrics_for(examples)
        examples = examples.select(range(min(len(examples), count - len(inputs))))
        references += [list(given) for given in examples["references"]]
        if isinstance(task, SpeechRecognition):
            table = read_transcribed_speech(task.config.data, split, task.config.text_column)
            for audio in table["audio"][: len(examples)]:
                file = folder / f"{len(inputs)}.wav"
                soundfile.write(file, read_sound(audio["path"], RATE_HZ), RATE_HZ, subtype="FLOAT")
                inputs.append(str(file))
        else:
            inputs += [source if isinstance(source, str) else source["path"] for source in examples["source"]]
    return inputs, references, metrics


def run_pytorch(predictor: Predictor, inputs: list[str]) -> tuple[Sentences, dict[int, float]]:
    """Generate with PyTorch; the times are milliseconds an input."""
    task = predictor.task
    sources = [segment.source for each in inputs for segment in task.parse_value(each).segments]
    assert len(sources) == len(inputs), "an input is split"

    def generate(source: Any, beam: int) -> tuple[str, float]:
        batch = task.batch_sources([source], training=False)
        started = time.perf_counter()
        with torch.inference_mode():
            decoder, memory = predictor.encode(batch)
            ((best, *_),) = decoder.search(memory, dataclasses.replace(task.config.search, beam=beam))
        return task.detokenize(best.tokens), time.perf_counter() - started

    return measure(generate, sources)


def run_exported(folder: Path, inputs: list[str]) -> tuple[Sentences, dict[int, float]]:
    """Generate with the files of a folder; the times are milliseconds an input."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sys.path.insert(0, str(folder))
    session, onnxruntime.InferenceSession = (
        onnxruntime.InferenceSession,
        functools.partial(onnxruntime.InferenceSession, sess_options=options),
    )
    try:
        for name in ("infer", "search"):
            sys.modules.pop(name, None)
        read, model = importlib.import_module("infer").read, importlib.import_module("search").Model()
    finally:
        onnxruntime.InferenceSession = session
        sys.path.remove(str(folder))

    def generate(given: str, beam: int) -> tuple[str, float]:
        source = read(given)
        started = time.perf_counter()
        return model(source, beam=beam), time.perf_counter() - started

    return measure(generate, inputs)


def measure(generate: Callable[[Any, int], tuple[str, float]], inputs: list[Any]) -> tuple[Sentences, dict[int, float]]:
    """Call a function for each input with each beam; return the sentences, and the mean of the times."""
    sentences: Sentences = {}
    times: dict[int, float] = {}
    for beam in BEAMS:
        generate(inputs[0], beam)  # the first call takes longer
        made = [generate(each, beam) for each in inputs]
        sentences[beam] = [text for text, _ in made]
        times[beam] = 1000 * sum(seconds for _, seconds in made) / len(made)
    return sentences, times


def compare(run: Path, count: int) -> list[dict[str, str]]:
    """Return the rows of a run: PyTorch, the graphs, and the graphs in 8 bits."""
    predictor = load_runs(task_of(run), [run])
    greedy_only = predictor.models[0].decoder.export_form == "frames"
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        inputs, references, metrics = load_inputs(predictor.task, count, folder)
        metric = metrics[0]
        systems = {"PyTorch": run_pytorch(predictor, inputs)}
        sizes = {"PyTorch": (run / "best.safetensors").stat().st_size}
        for name, quantization in (("ONNX", "none"), ("ONNX, int8", "int8")):
            export_run(predictor, run.name, folder / quantization, quantization)
            systems[name] = run_exported(folder / quantization, inputs)
            sizes[name] = sum(file.stat().st_size for file in (folder / quantization).glob("*.onnx"))
        expected = systems["PyTorch"][0]
        for name, (sentences, times) in systems.items():
            row = {"run": f"{run.name}, {len(inputs)} inputs", "": name, "MB": f"{sizes[name] / 1e6:.1f}"}
            for beam in BEAMS[:1] if greedy_only else BEAMS:
                title = "greedy" if beam == 1 else f"beam {beam}"
                same = sum(own == other for own, other in zip(sentences[beam], expected[beam], strict=True))
                row[f"{title}: same sentences"] = "" if name == "PyTorch" else f"{same}"
                row[f"{title}: score"] = f"{metric(sentences[beam], references):.2f} {metric.name}"
                row[f"{title}: ms"] = f"{times[beam]:.1f}"
            rows.append(row)
            print(row, file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for run in options.runs for row in compare(run, options.examples)]
    columns = dict.fromkeys(name for row in rows for name in row)
    table = to_markdown([{name: row.get(name, "") for name in columns} for row in rows])
    print(table, end="")
    if options.out:
        save_atomically(options.out, table)


if __name__ == "__main__":
    main()
