"""The run folder: nothing in it is ever half written, and a run is rebuilt from it alone::

config.json           the task and its whole configuration
vocabulary.json       what the task learned before training
best.safetensors      the weights that scored best on validation
last/                 where training stands: weights, optimiser and progress, in one file
checkpoints/          the best epochs' weights, while training
metrics.jsonl         a line an evaluation
evaluation/ pictures/
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tasks.common.errors import UsageError


def write(path: Path, content: Callable[[Path], None] | str) -> None:
    """Write beside, flush to disk, rename: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    if isinstance(content, str):
        beside.write_text(content, encoding="utf-8")
    else:
        content(beside)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises UsageError if the file is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: {path.parent} is not the folder of a run") from None
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is not readable JSON ({error}); restore it or train again") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file with a JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors, each shared one once, under its first name."""
    tensors: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.contiguous()
    return tensors


def load_weights(model: nn.Module, tensors: dict[str, Tensor], origin: Path) -> None:
    """Fill the model. Raises UsageError if the tensors are not those of such a model."""
    expected = weights_of(model)
    wrong = sorted(
        name
        for name in expected.keys() | tensors.keys()
        if name not in tensors or name not in expected or tensors[name].shape != expected[name].shape
    )
    if wrong:
        raise UsageError(
            f"{origin} does not fit the model that config.json describes: {len(wrong)} tensors are missing, unknown or "
            f"of another shape, {wrong[0]} for one; put back the config.json it was trained with"
        )
    model.load_state_dict(tensors, strict=False)


def save_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    write(path, lambda beside: save_file(tensors, beside))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a file. Raises UsageError if it is missing or broken."""
    if not path.is_file():
        raise UsageError(f"{path} is missing: train the run to its first evaluation, or name another run")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is not a readable checkpoint ({error}); restore it or train again") from error


class BestCheckpoints:
    """The ``limit`` checkpoints with the best scores, held on disk until they are averaged.

    ``kept`` is changed in place: it travels with the training's progress, so that a resumed run holds the same. What
    has no file any more, since a finished run was averaged and then trained further, is forgotten.
    """

    def __init__(self, folder: Path, kept: list[list[int | float]], limit: int, higher_is_better: bool):
        self.folder = folder
        self.kept = kept  # [score, update] of each
        self.limit = limit if limit > 1 else 0  # one alone is best.safetensors
        self.sign = 1 if higher_is_better else -1
        self.kept[:] = [entry for entry in kept if self.path(entry[1]).is_file()]

    def path(self, update: int | float) -> Path:
        return self.folder / f"{int(update)}.safetensors"

    def offer(self, score: int | float, update: int) -> None:
        """Take a checkpoint in, if it is among the best."""
        best_first = sorted([*self.kept, [score, update]], key=lambda kept: -self.sign * kept[0])
        self.kept[:] = best_first[: self.limit]

    def store(self, update: int, weights: dict[str, Tensor]) -> None:
        """Write the weights just offered, if they were taken."""
        if update in {kept for _, kept in self.kept}:
            save_weights(self.path(update), weights)

    def tidy(self) -> None:
        """Remove what had to make place; only after the progress was saved, which else would miss it."""
        for file in self.folder.glob("*.safetensors"):
            if int(file.stem) not in {kept for _, kept in self.kept}:
                file.unlink()

    def average(self) -> dict[str, Tensor] | None:
        """Their mean (Polyak & Juditsky 1992, over evaluations), or None if there are not several."""
        files = [self.path(update) for _, update in self.kept]
        if len(files) < 2:
            return None
        total = {name: tensor.double() for name, tensor in load_file(files[0]).items()}
        for file in files[1:]:
            for name, tensor in load_file(file).items():
                total[name] += tensor
        return {name: (tensor / len(files)).float() for name, tensor in total.items()}

    def clear(self) -> None:
        for file in self.folder.glob("*.safetensors"):
            file.unlink()


def save_training(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
    """Everything a stopped run needs to go on, in one file, so that it is never of two moments."""
    tensors = {f"model.{name}": tensor for name, tensor in weights_of(model).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    write(path, lambda beside: save_file(tensors, beside, {"progress": json.dumps(progress)}))


def load_training(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The reverse of save_training. Returns the progress."""
    tensors = read_weights(path)
    with safe_open(path, "pt") as file:
        progress = json.loads(file.metadata()["progress"])
    own = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    load_weights(model, own, path)
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            states.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


class MetricsLog:
    """metrics.jsonl. A resumed run first takes back the lines written after its checkpoint was."""

    def __init__(self, path: Path, keep: int):
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:keep] if path.exists() and keep else []
        write(path, "".join(lines))
        self.count = len(lines)

    def append(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.count += 1
