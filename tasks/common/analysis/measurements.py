"""Measurements of a trained model other than its metrics: the shape of its alignments, the memory of training."""

import statistics

import datasets
import torch
from torch import Tensor

from attention.alignment_metrics import coverage, diagonality, entropy
from tasks.common.console import stage
from tasks.common.data.batching import BatchSampler
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.training.precision import autocast

SAMPLE_SIZE = 32  # examples of the batch whose activations are counted


@torch.inference_mode()
def measure_alignments(predictor: Predictor, examples: datasets.Dataset) -> dict[str, float]:
    """Measure the attention weights of the (first) model with teacher forcing; see attention/alignment_metrics.py.

    Returns:
        Means over the sentences: entropy in bits per token, coverage as the attended share of the source, and
        diagonality as a correlation. Empty for a model without attention weights.
    """
    task, model = predictor.task, predictor.models[0]
    values: dict[str, list[float]] = {"entropy": [], "coverage": [], "diagonality": []}
    lengths, num_targets = task.example_lengths(examples), task.num_targets(examples)
    with stage("measuring alignments", len(lengths)) as advance:
        for rows in BatchSampler(lengths, task.config.batch, seed=0, num_targets=num_targets).by_length():
            alignment = model.align(task.collate(examples, rows).to(predictor.device))
            if alignment is None:
                return {}
            weights, target_mask = alignment.weights, alignment.target_mask
            values["entropy"] += entropy(weights, target_mask).tolist()
            values["coverage"] += coverage(weights, target_mask, alignment.source_mask).tolist()
            values["diagonality"] += diagonality(weights, target_mask).tolist()
            advance(len(rows))
    return {name: statistics.fmean(per_sentence) for name, per_sentence in values.items()}


def activation_bytes(task: Task, model: Seq2Seq, examples: datasets.Dataset) -> int:
    """Count the bytes that autograd saves for the backward pass of one batch: what limits the batch size.

    Parameters are not counted, and neither are the inputs that ``decoders.deferred_linear`` saves itself: about a tenth
    of the total with ``decoder.attention_order`` bahdanau.

    Args:
        task: The task, which collates the batch.
        model: The model; it is in training mode during the measurement.
        examples: The batch is made of the first SAMPLE_SIZE of them.
    """
    batch = task.collate(examples, list(range(min(SAMPLE_SIZE, len(examples)))))
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved: dict[int, int] = {}  # bytes by address: several saved tensors can share a storage

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = next(model.parameters()).device
    was_training = model.training
    precision = autocast(task.config.train.precision, device)
    with precision, torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        loss = model.train()(batch.to(device))  # keeps the graph until all is counted, so that no address is reused
        total = sum(saved.values())
    del loss
    model.train(was_training)
    return total
