"""The outputs of a frozen frontend, computed once and cached, since they are the same in every epoch."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from encoders.base import Frontend
from encoders.pretrained.base import PretrainedFrontend
from tasks.common.data import cache
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.training.optimization import pretrained_modules

if TYPE_CHECKING:
    import datasets

BATCH_SIZE = 32  # sources encoded together


def precompute_if_frozen(task: Task, model: Seq2Seq, examples: "datasets.Dataset") -> "datasets.Dataset":
    """Replace the sources by the outputs of the model's frontend if it is pretrained and not fine-tuned.

    Only an encoder of one source has a frontend that says everything about it.
    """
    frontend = getattr(model.encoder, "frontend", None)
    if frontend is None or not pretrained_modules(model) or task.config.train.encoder_lr:
        return examples
    return precompute(task, frontend, examples)


def precompute(task: Task, frontend: Frontend, examples: "datasets.Dataset") -> "datasets.Dataset":
    """Replace the sources by a frontend's outputs.

    The cache key depends on the frontend's weights and on all sources, so a change of either is noticed.

    Returns:
        The examples; the column source holds packed states, and the column length their number.
    """
    import datasets

    frontend.eval()
    device = next(frontend.parameters()).device
    key = hashlib.sha256(fingerprint(frontend).encode())
    for source in examples["source"]:
        key.update(task.source_key(source).encode())

    @torch.inference_mode()
    def states_of(columns: Mapping[str, Any]) -> dict[str, Any]:
        states, mask = frontend(task.collate_sources(columns["source"], training=False).to(device))
        matrices = [rows[real].float().cpu().numpy() for rows, real in zip(states, mask, strict=True)]
        return {
            "source": [task.pack_states(*pair) for pair in zip(columns["source"], matrices, strict=True)],
            "length": [len(matrix) for matrix in matrices],
        }

    # Sorted by length, so that little of a batch is padding; the order is restored afterwards.
    order = np.argsort(task.example_lengths(examples)[:, 0], kind="stable")
    others = [name for name in examples.column_names if name not in ("source", "length")]
    encoded = cache.map_cached(
        examples.select(order),
        states_of,
        f"encoded-{key.hexdigest()[:24]}",
        "computing the outputs of the frozen encoder",
        batched=True,
        batch_size=BATCH_SIZE,
        remove_columns=examples.column_names,
        features=datasets.Features({"source": datasets.Value("binary"), "length": datasets.Value("int32")}),
    )
    if (order[1:] < order[:-1]).any():  # selecting would copy everything to disk once more
        encoded = encoded.select(np.argsort(order))
    return datasets.concatenate_datasets([encoded, examples.select_columns(others)], axis=1)


def fingerprint(frontend: Frontend) -> str:
    """Hash everything that a frontend's outputs depend on: its class, its pretrained backbones, and all weights."""
    backbones = [module.to_config() for module in frontend.modules() if isinstance(module, PretrainedFrontend)]
    state = hashlib.sha256(json.dumps([repr(type(frontend)), frontend.dim, backbones], sort_keys=True).encode())
    for name, tensor in frontend.state_dict().items():
        state.update(name.encode())
        state.update(tensor.cpu().flatten().view(torch.uint8).numpy())
    return state.hexdigest()
