"""The graphs of a model: those of an encoder and of a decoder's step, or that of CTC's frames."""

import copy
from pathlib import Path
from typing import cast

import torch

from decoders.autoregressive import AutoregressiveDecoder
from decoders.ctc import CTC
from encoders.base import SourceBatch
from tasks.common.errors import UsageError
from tasks.common.export.convert import export_graph
from tasks.common.export.graphs import EncoderGraph, FrameGraph, StateForm, StepGraph
from tasks.common.export.recurrent import use_operators
from tasks.common.export.tensors import tensors_of
from tasks.common.model import Seq2Seq

BEAMS = 3, 4  # hypotheses of each source in the two examples


def export_model(model: Seq2Seq, example: SourceBatch, folder: Path) -> None:
    """Write the graphs of a model, on the CPU, into a folder.

    Args:
        model: The model.
        example: See ``ExportedInput``.
        folder: The folder.

    Raises:
        UsageError: The decoder has no form that can be exported, or the model can't be traced.
    """
    if model.decoder.export_form is None:
        raise UsageError(
            f"its decoder is a {type(model.decoder).__name__}, which can't be exported; allowed are decoder.kind "
            "recurrent, with joint CTC and copying too, and ctc"
        )
    traced = Seq2Seq(copy.deepcopy(model.encoder), model.decoder)
    use_operators(traced.encoder)
    export = {"step": export_steps, "frames": export_frames}[model.decoder.export_form]
    export(model, traced, (example, other_source(example)), folder)


def other_source(example: SourceBatch) -> SourceBatch:
    """Return the first source of a batch, shorter if the sources have a length."""
    if example.mask.size(1) == 1:
        return SourceBatch(example.values[:1], example.mask[:1])
    return SourceBatch(example.values[:1, :1], example.mask[:1, :1])


def export_steps(model: Seq2Seq, traced: Seq2Seq, sources: tuple[SourceBatch, SourceBatch], folder: Path) -> None:
    """Write encoder.onnx and decoder.onnx: see ``EncoderGraph`` and ``StepGraph``."""
    decoder = cast(AutoregressiveDecoder, model.decoder)
    with torch.no_grad():
        states = [decoder.init_state(model.encoder(source)) for source in sources]
        sizes = [source.mask.size(0) for source in sources]
        form = StateForm.find(states[0], sizes[0])
        steps = []
        for state, size, beam in zip(states, sizes, BEAMS, strict=True):
            rows = torch.arange(size)[:, None].expand(-1, beam)
            tokens = torch.arange(size * beam).view(size, beam) % 5  # some of any vocabulary
            steps.append({"tokens": tokens, **form.to_graph(state.reorder(rows), size)})
    encoders = EncoderGraph(model, sources[0], form), EncoderGraph(traced, sources[0], form)
    export_graph(*encoders, (tensors_of(sources[0]), tensors_of(sources[1])), folder / "encoder.onnx")
    step = StepGraph(decoder, form)
    export_graph(step, step, (steps[0], steps[1]), folder / "decoder.onnx")


def export_frames(model: Seq2Seq, traced: Seq2Seq, sources: tuple[SourceBatch, SourceBatch], folder: Path) -> None:
    """Write encoder.onnx: see ``FrameGraph``."""
    graphs = [FrameGraph(each.encoder, cast(CTC, each.decoder), sources[0]) for each in (model, traced)]
    export_graph(graphs[0], graphs[1], (tensors_of(sources[0]), tensors_of(sources[1])), folder / "encoder.onnx")
