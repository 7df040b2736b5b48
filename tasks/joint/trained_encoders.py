"""Encoders of runs of single tasks, with which a joint model begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from encoders.projection import ProjectedEncoder
from tasks.common.errors import UsageError, unknown_name
from tasks.common.files import load_json
from tasks.common.run_config import load_config, task_of
from tasks.common.training.checkpoints import load_weights, read_weights
from tasks.joint.config import JointConfig

INPUT_SETTINGS = ("encoder", "features", "frames")  # of the tasks that have them: what an encoder depends on


@dataclass(frozen=True)
class TrainedEncoder:
    """The encoder of a run.

    Attributes:
        run: The run folder.
        source_state: What the run's task knew of its sources.
        weights: The weights of the encoder.
        is_projected: Whether they include a projection.
    """

    run: Path
    source_state: dict[str, Any]
    weights: dict[str, torch.Tensor]
    is_projected: bool

    def load_into(self, encoder: nn.Module) -> None:
        """Replace the weights of an encoder. Raises UsageError if it has others."""
        inner = encoder if self.is_projected or not isinstance(encoder, ProjectedEncoder) else encoder.encoder
        load_weights(inner, self.weights, self.run / "best.safetensors")


def find_trained_encoders(runs: Sequence[Path], config: JointConfig) -> dict[str, TrainedEncoder]:
    """Load the encoders of runs, by the names of their tasks.

    Raises:
        UsageError: for two runs of one task, a run of a task that the joint model has not, or one with other settings.
    """
    found: dict[str, TrainedEncoder] = {}
    for run in runs:
        task = task_of(run)
        if task not in config.parts:
            raise unknown_name("task of --init-from", task, config.parts)
        if task in found:
            raise UsageError(f"--init-from: {found[task].run} and {run} are both runs of {task}; name one of them")
        saved, own = load_config(task, run), config.parts[task]
        for name in INPUT_SETTINGS:
            if getattr(saved, name, None) != getattr(own, name, None):
                raise UsageError(f"--init-from: {run} has another {name} than {task} here; give both the same settings")
        if saved.projection_dim not in (0, own.projection_dim):
            raise UsageError(
                f"--init-from: projection_dim of {run} is {saved.projection_dim}, and here {own.projection_dim}; "
                "allowed is the same, or 0"
            )
        weights = read_weights(run / "best.safetensors")
        own_weights = {name.removeprefix("encoder."): weights[name] for name in weights if name.startswith("encoder.")}
        state = load_json(run / "vocabulary.json")
        if saved.vocabulary.shared:  # the vocabulary of the sources is that of the targets, which are others here
            state = {"source": state["target"], **state}
        found[task] = TrainedEncoder(run, state, own_weights, bool(saved.projection_dim))
    return found
