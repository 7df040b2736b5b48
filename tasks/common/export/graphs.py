"""A model as modules of tensors alone, from which graphs are made: its encoder, and a step of its decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from decoders.autoregressive import AutoregressiveDecoder
from decoders.base import DecoderState
from decoders.ctc import CTC
from encoders.base import Encoder, SourceBatch
from tasks.common.export.tensors import tensors_of, with_tensors
from tasks.common.model import Seq2Seq

NEXT = "next_"  # in front of the names of the state after a step


@dataclass(frozen=True)
class Layout:
    """The place of sources and hypotheses in a tensor of a decoder's state.

    In a graph all tensors begin with (batch, beam), or with (batch) if a source has it once for all its hypotheses.

    Attributes:
        is_shared: Whether it is the same for all hypotheses of a source.
        axis: The axis of hypotheses, counted over all sources; None if the tensor begins with (batch, beam) itself.
        num_heads: The rows that a source has in a shared tensor.
    """

    is_shared: bool
    axis: int | None = None
    num_heads: int = 1

    @classmethod
    def find(cls, alone: Tensor, in_beam: Tensor, batch_size: int) -> "Layout":
        """Compare a tensor of the first state with the same after a reordering to a beam of another size than 1."""
        if alone.shape == in_beam.shape:
            return cls(is_shared=True, num_heads=alone.size(0) // batch_size)
        axis = next(axis for axis, size in enumerate(alone.shape) if in_beam.size(axis) != size)
        return cls(is_shared=False, axis=axis if alone.size(axis) == batch_size else None)

    def to_graph(self, tensor: Tensor, batch_size: int) -> Tensor:
        if self.is_shared:
            return tensor if self.num_heads == 1 else tensor.unflatten(0, (batch_size, self.num_heads))
        return tensor if self.axis is None else tensor.movedim(self.axis, 0).unflatten(0, (batch_size, -1))

    def from_graph(self, tensor: Tensor) -> Tensor:
        if self.is_shared:
            return tensor if self.num_heads == 1 else tensor.flatten(0, 1)
        return tensor if self.axis is None else tensor.flatten(0, 1).movedim(0, self.axis)


@dataclass(frozen=True)
class StateForm:
    """The form of a decoder's state as the inputs and outputs of graphs.

    Attributes:
        state: A state of this form, whose tensors are replaced.
        layouts: The layout of each of its tensors.
    """

    state: DecoderState
    layouts: Mapping[str, Layout]

    @classmethod
    def find(cls, state: DecoderState, batch_size: int) -> "StateForm":
        """Find the form of a decoder's first state, for ``batch_size`` sources, which is not 1."""
        rows = torch.arange(batch_size)[:, None].expand(-1, batch_size + 1)
        in_beam = tensors_of(state.reorder(rows))
        alone = tensors_of(state)
        return cls(state, {name: Layout.find(alone[name], in_beam[name], batch_size) for name in alone})

    def to_graph(self, state: DecoderState, batch_size: int) -> dict[str, Tensor]:
        """Return the tensors of a state as a graph has them."""
        tensors = tensors_of(state)
        return {name: layout.to_graph(tensors[name], batch_size) for name, layout in self.layouts.items()}

    def from_graph(self, tensors: Mapping[str, Tensor]) -> DecoderState:
        """Return the state with the tensors of a graph."""
        own = {name: layout.from_graph(tensors[name]) for name, layout in self.layouts.items()}
        return with_tensors(self.state, own)


class Graph(nn.Module):
    """A computation from tensors by their names to tensors by their names.

    ``axes``: names of the axes of varying size, in the order in which the inputs have them.
    """

    axes: Sequence[str] = ("batch", "source")


class EncoderGraph(Graph):
    """The arrays of a batch of sources to the first state of the decoder."""

    def __init__(self, model: Seq2Seq, source: SourceBatch, form: StateForm):
        """``source``: a batch, whose tensors are replaced."""
        super().__init__()
        self.encoder, self.decoder = model.encoder, cast(AutoregressiveDecoder, model.decoder)
        self.source, self.form = source, form

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        source = with_tensors(self.source, inputs)
        state = self.decoder.init_state(self.encoder(source))
        return self.form.to_graph(state, source.mask.size(0))


class StepGraph(Graph):
    """The last tokens and the state to the scores of the next tokens, the attention to the source and the next state.

    Its inputs are ``tokens`` (batch, beam) and the tensors of the state. Its outputs are ``log_probs`` (batch, beam,
    vocab); ``weights`` (batch, beam, source), if the decoder has them; and the tensors of the next state, apart from
    those that stay the same, named as before with NEXT in front.
    """

    axes = ("batch", "beam", "source")

    def __init__(self, decoder: AutoregressiveDecoder, form: StateForm):
        super().__init__()
        self.decoder, self.form = decoder, form

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        tokens = inputs["tokens"]
        output, state = self.decoder.step(tokens.flatten(), self.form.from_graph(inputs))
        outputs = {"log_probs": self.decoder.next_token_scores(output.features[:, 0]).unflatten(0, tokens.shape)}
        if output.weights is not None:
            outputs["weights"] = output.weights[:, 0].unflatten(0, tokens.shape)
        following = self.form.to_graph(state, tokens.size(0))
        return outputs | {NEXT + name: following[name] for name, own in self.form.layouts.items() if not own.is_shared}


class FrameGraph(Graph):
    """The arrays of a batch of sources to CTC's ``log_probs`` (batch, frames, vocab) and ``frame_mask``."""

    def __init__(self, encoder: Encoder, decoder: CTC, source: SourceBatch):
        """``source``: a batch, whose tensors are replaced."""
        super().__init__()
        self.encoder, self.decoder, self.source = encoder, decoder, source

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        memory = self.encoder(with_tensors(self.source, inputs))
        return {"log_probs": self.decoder.log_probs(memory), "frame_mask": memory.mask}
