"""The folder of an exported run: graphs, tokenizers, settings, and the files that run them."""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from string import Template

import numpy as np

from tasks.common.errors import UsageError
from tasks.common.export import runtime
from tasks.common.export.config import Quantization
from tasks.common.export.convert import quantize
from tasks.common.export.model import export_model
from tasks.common.extras import EXTRAS
from tasks.common.files import save_json, to_json, write_folder
from tasks.common.inference.predictor import Predictor
from tasks.common.task import Task

RUNTIME = Path(runtime.__file__).parent
SEARCH_SETTINGS = ("beam", "length_penalty", "coverage_penalty", "no_repeat_ngram", "min_length", "max_length")
WEIGHTS: dict[Quantization, str] = {
    "none": "32-bit floating-point numbers",
    "int8": "8-bit integers; activations are quantized as they are computed",
}


def export_run(predictor: Predictor, name: str, folder: Path, quantization: Quantization) -> None:
    """Write a folder with all that a model needs to run without PyTorch.

    Args:
        predictor: A model.
        name: The name of its run, for the README.
        folder: The folder, which must not exist.
        quantization: The type of the weights.

    Raises:
        UsageError: The folder exists already, or this model can't be exported.
    """
    for package in EXTRAS["onnx"]:  # what is missing is said before any work
        import_module(package)
    task, model = predictor.task, copy.deepcopy(predictor.models[0]).cpu()
    refuse_search(task)
    inputs = task.exported_input()

    def write(path: Path) -> None:
        export_model(model, inputs.example, path)
        graphs = sorted(path.glob("*.onnx"))
        if quantization == "int8":
            for graph in graphs:
                quantize(graph)
        search = asdict(task.config.search)
        save_json(
            path / "settings.json",
            {"source": inputs.settings, "search": {setting: search[setting] for setting in SEARCH_SETTINGS}},
        )
        for file, text in {"tokenizer.json": to_json(task.tokenizer.state_dict()), **inputs.texts}.items():
            (path / file).write_text(text, encoding="utf-8")
        if inputs.arrays:
            np.savez(path / "features.npz", allow_pickle=False, **inputs.arrays)
        shutil.copyfile(RUNTIME / inputs.script, path / "infer.py")
        shutil.copyfile(RUNTIME / "search.py", path / "search.py")
        readme = describe(name, graphs, inputs.packages, quantization)
        (path / "README.md").write_text(readme, encoding="utf-8")

    write_folder(folder, write)


def refuse_search(task: Task) -> None:
    """Raise UsageError if the search of a task is another one than that of ``runtime/search.py``."""
    if task.constrain is not None or task.postprocess is not None:
        raise UsageError("this task restricts or reranks its sentences in ways that only PyTorch's search has")
    if task.config.search.sample:
        raise UsageError("search.sample is set, and an exported run searches with a beam: allowed is no search.sample")
    if task.config.search.ctc_weight is not None:
        raise UsageError("search.ctc_weight is set, and an exported run has that of its training: leave it out")


def describe(name: str, graphs: Sequence[Path], packages: Sequence[str], quantization: Quantization) -> str:
    """Return the README of the folder: how to use it, and the inputs and outputs of the graphs."""
    from onnxruntime import InferenceSession

    template = Template((RUNTIME / "README.md").read_text(encoding="utf-8"))
    text = template.substitute(name=name, packages=" ".join(packages), weights=WEIGHTS[quantization])
    for graph in graphs:
        session = InferenceSession(graph)
        text += f"\n## {graph.name}\n\n| | name | type | shape |\n|---|---|---|---|\n"
        for kind, arrays in (("input", session.get_inputs()), ("output", session.get_outputs())):
            for each in arrays:
                text += f"| {kind} | {each.name} | {each.type} | {' × '.join(map(str, each.shape))} |\n"
    return text
