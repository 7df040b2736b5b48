"""A frozen encoder computes the same in every epoch: here it does so once, and what it returned is kept on disk."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, Value, concatenate_datasets

from encoders.base import Frontend
from encoders.pretrained.base import PretrainedFrontend
from tasks.common.data import cache
from tasks.common.task import Task

SENTENCES = 32  # encoded together


def encode(task: Task, frontend: Frontend, examples: Dataset) -> Dataset:
    """The examples with sources replaced by what ``frontend`` makes of them, and with a column length that counts states.

    The key on disk is made of the front end's weights and of all sources, so a change of either is noticed.
    """
    frontend.eval()
    device = next(frontend.parameters()).device
    key = hashlib.sha256(fingerprint(frontend).encode())
    for source in examples["source"]:
        key.update(task.source_key(source).encode())

    @torch.inference_mode()
    def states_of(columns: Mapping[str, Any]) -> dict[str, Any]:
        states, mask = frontend(task.collate_sources(columns["source"], training=False).to(device))
        matrices = [rows[real].float().cpu().numpy() for rows, real in zip(states, mask, strict=True)]
        return {"source": [cache.pack(matrix) for matrix in matrices], "length": [len(matrix) for matrix in matrices]}

    # Like lengths together, so that little of what is multiplied is padding; afterwards everything is put back.
    order = np.argsort([source for source, _ in task.lengths(examples)], kind="stable")
    others = [name for name in examples.column_names if name not in ("source", "length")]
    encoded = examples.select(order).map(
        states_of,
        batched=True,
        batch_size=SENTENCES,
        remove_columns=examples.column_names,
        features=Features({"source": Value("binary"), "length": Value("int32")}),
        cache_file_name=str(cache.folder() / f"encoded-{key.hexdigest()[:24]}.arrow"),
        new_fingerprint=key.hexdigest()[:24],
    )
    if (order[1:] < order[:-1]).any():  # selecting would copy everything to disk once more
        encoded = encoded.select(np.argsort(order))
    return concatenate_datasets([encoded, examples.select_columns(others)], axis=1)


def fingerprint(frontend: Frontend) -> str:
    """Another if the outputs may be others: a hash of what it is, of what came trained in it, and of every weight."""
    descriptions = [body.to_config() for body in frontend.modules() if isinstance(body, PretrainedFrontend)]
    state = hashlib.sha256(json.dumps([repr(type(frontend)), frontend.dim, descriptions], sort_keys=True).encode())
    for name, tensor in frontend.state_dict().items():
        state.update(name.encode())
        state.update(tensor.cpu().flatten().view(torch.uint8).numpy())
    return state.hexdigest()
