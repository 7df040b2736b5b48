"""Weights and the state of training on disk, as safetensors."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tasks.common.console import console
from tasks.common.errors import UsageError
from tasks.common.files import save_atomically
from tasks.common.training.selection import Rank

OptimizerStates = dict[int, dict[str, Tensor]]  # of each parameter, by its number


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's tensors, each shared one once, under its first name."""
    tensors: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.contiguous()
    return tensors


def load_weights(model: nn.Module, tensors: dict[str, Tensor], origin: Path) -> None:
    """Load the tensors of the file ``origin`` into the model.

    Raises:
        UsageError: if names or shapes differ from the model's, or if a parameter is not finite.
    """
    expected = weights_of(model)
    wrong = sorted(
        name
        for name in expected.keys() | tensors.keys()
        if name not in tensors or name not in expected or tensors[name].shape != expected[name].shape
    )
    if wrong:
        raise UsageError(
            f"{origin} does not fit the model that config.json describes: {len(wrong)} tensors are missing, unknown or "
            f"of another shape, for example {wrong[0]}; restore the config.json that it was trained with"
        )
    broken = [name for name, _ in model.named_parameters() if name in tensors and not is_finite(tensors[name])]
    if broken:
        raise UsageError(
            f"{origin} holds numbers that are not finite, for example in {broken[0]}; restore it or train again"
        )
    model.load_state_dict(tensors, strict=False)


def is_finite(tensor: Tensor) -> bool:
    """Tell whether all numbers are finite: quickly, from the smallest and the largest."""
    return tensor.numel() == 0 or bool(torch.stack(tensor.aminmax()).isfinite().all())


def save_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    save_atomically(path, lambda temporary: save_file(tensors, temporary))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Raises:
        UsageError: if the file is missing or broken.
    """
    with readable(path):
        return load_file(path)


def count_weights(path: Path) -> int:
    """Count the numbers in the tensors of a file, without reading them. Raises UsageError: see ``read_weights``."""
    with readable(path), safe_open(path, "pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one line that a file of tensors is missing or broken."""
    if not path.is_file():
        raise UsageError(f"{path} is missing: train the run to its first evaluation, or name another run")
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is not a readable checkpoint ({error}); restore it or train again") from error


def state_file(run: Path) -> Path:
    """Return the file of ``save_training`` in a run folder."""
    return run / "last" / "training.safetensors"


def is_complete(path: Path) -> bool:
    """Tell whether a file of tensors has all of its bytes."""
    try:
        with safe_open(path, "pt"):
            return True
    except (SafetensorError, OSError):
        return False


def save_training(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
    """Save all that a stopped run needs in one file, so that its parts always belong together."""
    tensors = {f"model.{name}": tensor for name, tensor in weights_of(model).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    save_atomically(path, lambda temporary: save_file(tensors, temporary, {"progress": json.dumps(progress)}))


def load_trained_weights(path: Path, model: nn.Module) -> None:
    """Load the model of a file of ``save_training``."""
    tensors = read_weights(path)
    own = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    load_weights(model, own, path)


def read_training(path: Path) -> tuple[OptimizerStates, dict[str, Any]]:
    """Read the state of the optimizer and the progress of a file of ``save_training``."""
    tensors = read_weights(path)
    with refusing_other_files(path):
        with safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["progress"])
        states: OptimizerStates = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                states.setdefault(int(index), {})[key] = tensor
        return states, progress


def load_optimizer(optimizer: torch.optim.Optimizer, states: OptimizerStates, origin: Path) -> None:
    """Load the states of the file ``origin`` into the optimizer."""
    with refusing_other_files(origin):
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


@contextmanager
def refusing_other_files(path: Path) -> Iterator[None]:
    """Say in one line that a file of tensors is not the state of this training."""
    try:
        yield
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is not the state of a training; restore it or train again") from error


class BestCheckpoints:
    """The weights of the best evaluations, kept on disk until they are averaged.

    ``entries`` is changed in place: it is saved with the training's progress, so that a resumed run has the same ones.
    Entries whose file is missing or broken are dropped.
    """

    def __init__(self, folder: Path, entries: list[list[int | float]], limit: int):
        self.folder = folder
        self.entries = entries  # [*rank, step] of each
        self.limit = limit if limit > 1 else 0  # a single one is best.safetensors
        lost = [entry for entry in entries if not is_complete(self.path(entry[-1]))]
        for *_, step in lost:
            console.print(f"{self.path(step)} is missing or broken: it will not be part of the average")
        self.entries[:] = [entry for entry in entries if entry not in lost]

    @property
    def steps(self) -> set[int | float]:
        return {step for *_, step in self.entries}

    def path(self, step: int | float) -> Path:
        return self.folder / f"{int(step)}.safetensors"

    def consider(self, rank: Rank, step: int) -> None:
        """Add an evaluation to the entries if it is among the best, of equal ones the first."""
        best_first = sorted([*self.entries, [*rank, step]], key=lambda entry: entry[:-1], reverse=True)
        self.entries[:] = best_first[: self.limit]

    def save(self, step: int, weights: dict[str, Tensor]) -> None:
        """Save the weights of the evaluation at ``step`` if it is among the entries."""
        if step in self.steps:
            save_weights(self.path(step), weights)

    def prune(self) -> None:
        """Remove files that are no longer among the entries; only after the progress was saved, which names them."""
        for file in self.folder.glob("*.safetensors"):
            if file.stem.isdecimal() and int(file.stem) not in self.steps:
                file.unlink()

    def average(self) -> dict[str, Tensor] | None:
        """Return the mean of the weights (Polyak & Juditsky 1992, over evaluations), or None for fewer than two."""
        files = [self.path(step) for *_, step in self.entries]
        if len(files) < 2:
            return None
        total = {name: tensor.double() for name, tensor in read_weights(files[0]).items()}
        for file in files[1:]:
            for name, tensor in read_weights(file).items():
                total[name] += tensor
        return {name: (tensor / len(files)).float() for name, tensor in total.items()}
