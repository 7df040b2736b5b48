"""Make ONNX graphs of modules of tensors, and compare what they compute with PyTorch."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim

from tasks.common.errors import UsageError
from tasks.common.export.graphs import Graph
from tasks.common.export.operators import TRANSLATIONS

TOLERANCE = 1e-3  # of a difference from PyTorch, absolute and relative; recurrent networks amplify rounding errors
QUANTIZED = ("MatMul", "Gather", "LSTM")  # what has operators for 8-bit weights that are faster than those for floats

Tensors = Mapping[str, Tensor]


def export_graph(graph: Graph, traced: Graph, examples: tuple[Tensors, Tensors], path: Path) -> None:
    """Write a module as a graph, and run it on both examples.

    Axes whose sizes differ between the examples have any size in the graph. So each kind of axis (sources, hypotheses,
    positions) needs sizes of its own, which are not 1 in the first example.

    Args:
        graph: A module that takes tensors by their names and returns tensors by their names.
        traced: The same for the export, possibly with operators of ONNX that compute nothing in PyTorch.
        examples: The inputs that it is traced with, and others of which all varying sizes differ.
        path: The file.

    Raises:
        UsageError: The module can't be traced, or the graph computes something else.
    """
    # Of views of other tensors, torch would take the strides for constants.
    first, other = ({name: tensor.contiguous() for name, tensor in example.items()} for example in examples)
    shapes = (varying_axes(first, other, graph.axes),)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch's own future
        try:
            program = torch.export.export(
                traced,
                (dict(first),),
                dynamic_shapes=shapes,
                strict=False,
                # What sizes must have in common is not proven, but tried below.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            torch.onnx.export(
                program,
                f=path,
                input_names=[*first],
                output_names=[*graph(first)],
                dynamic_shapes=shapes,
                custom_translation_table=TRANSLATIONS,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # each part of the exporter raises its own
            reason = next(iter(str(error).strip().splitlines()), repr(error))
            raise UsageError(f"{path.stem}: its computation can't be made a graph ({reason})") from error
        for inputs in (first, other):
            check_graph(path, inputs, graph(inputs))


def varying_axes(first: Tensors, other: Tensors, names: Sequence[str]) -> dict[str, dict[int, Any]]:
    """Find the axes whose sizes differ between two examples, for ``torch.export``.

    Those whose sizes differ by as many are equal but for a constant: the times of CTC are one more than the positions.
    """
    axes: dict[int, tuple[Any, int]] = {}  # for each difference the axis, and its size in the first example
    shapes: dict[str, dict[int, Any]] = {}
    for name, tensor in first.items():
        shapes[name] = {}
        for axis, (size, other_size) in enumerate(zip(tensor.shape, other[name].shape, strict=True)):
            if size != other_size:
                # The lower bound is one of the proof alone: smaller sizes are those of the other example.
                new = Dim(names[len(axes)] if len(axes) < len(names) else f"size_{len(axes)}", min=size // 2)
                dim, own_size = axes.setdefault(size - other_size, (new, size))
                shapes[name][axis] = dim + (size - own_size) if size != own_size else dim
    return shapes


def check_graph(path: Path, inputs: Tensors, expected: Tensors) -> None:
    """Raise UsageError if a graph computes something else than PyTorch."""
    try:
        found = run_graph(path, {name: tensor.numpy() for name, tensor in inputs.items()})
    except Exception as error:  # ONNX Runtime raises its own
        reason = next(iter(str(error).splitlines()), repr(error))
        raise UsageError(f"{path.stem}: the graph can't be run, so it is not exported ({reason})") from error
    for name, tensor in expected.items():
        if not np.allclose(found[name], tensor.numpy(), rtol=TOLERANCE, atol=TOLERANCE):
            raise UsageError(f"{path.stem}: the graph computes another {name} than PyTorch, so it is not exported")


def run_graph(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Run a graph; it takes those of the inputs that it needs."""
    from onnxruntime import InferenceSession

    session = InferenceSession(path)
    needed = [each.name for each in session.get_inputs()]
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {name: inputs[name] for name in needed}), strict=True))


def quantize(path: Path) -> None:
    """Replace the weights of a graph by 8-bit integers; activations are quantized when they are computed."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # of advice for convolutions
    try:
        quantize_dynamic(path, path, weight_type=QuantType.QInt8, op_types_to_quantize=[*QUANTIZED])
    finally:
        logging.root.setLevel(level)
