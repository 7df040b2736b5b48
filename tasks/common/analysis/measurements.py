"""What a trained model is like beside its score: how its attention runs over a split, and what training it keeps."""

import statistics

import datasets
import torch
from torch import Tensor

from attention import coverage, diagonality, entropy
from tasks.common.data.batching import BatchSampler
from tasks.common.inference.evaluation import Predictor
from tasks.common.model import Seq2Seq
from tasks.common.task import Task

SAMPLE = 32  # examples whose activations are counted


@torch.inference_mode()
def alignment_measures(writer: Predictor, examples: datasets.Dataset) -> dict[str, float]:
    """Means over the sentences of how the (first) model looks while it is told the right ones; empty if it does not.

    Entropy in bits a word, coverage as the share of the source that was looked at, diagonality as a correlation: see
    attention/measures.py.
    """
    task, model = writer.task, writer.models[0]
    found: dict[str, list[float]] = {"entropy": [], "coverage": [], "diagonality": []}
    for rows in BatchSampler(task.lengths(examples), task.config.batch, seed=0).by_length():
        aligned = model.align(task.collate(examples, rows).to(writer.device))
        if aligned is None:
            return {}
        weights, words, sources = aligned
        found["entropy"] += entropy(weights, words).tolist()
        found["coverage"] += coverage(weights, words, sources).tolist()
        found["diagonality"] += diagonality(weights, words).tolist()
    return {name: statistics.fmean(values) for name, values in found.items()}


def activation_bytes(task: Task, model: Seq2Seq, examples: datasets.Dataset) -> int:
    """How much the backward pass needs kept of one batch, weights not counted: what limits the size of batches.

    Inputs that decoders/late.py keeps for itself are not counted, some tenth with ``--decoder.attention-order bahdanau``.
    """
    batch = task.collate(examples, list(range(min(SAMPLE, len(examples)))))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = next(model.parameters()).device
    training = model.training
    precision = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(task.config.train.precision)
    autocast = torch.autocast(device.type, dtype=precision, enabled=precision is not None)
    with autocast, torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model.train()(batch.to(device))  # held until all is counted, so that no storage is used twice
        total = sum(kept.values())
    del loss
    model.train(training)
    return total
