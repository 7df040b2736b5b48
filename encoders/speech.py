"""The speech encoder: frames of audio features in, fewer states out."""

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import Dropout
from attention.memory import Memory
from encoders.base import Encoder, Frontend, SequenceEncoder, SourceBatch

Length = TypeVar("Length", int, Tensor)


class ConvSubsampling(Frontend):
    """3×3 convolutions over time and frequency, each of which halves both (Zhang et al. 2017)."""

    def __init__(self, input_dim: int, channels: int, num_layers: int, *, num_planes: int = 1):
        """Build the layers.

        Args:
            input_dim: Features of a frame and of a plane.
            channels: Channels of every layer.
            num_layers: Number of layers.
            num_planes: The features and the orders of their deltas; each is a channel of the input (Abdel-Hamid et al.
                2014).
        """
        super().__init__()
        self.num_planes = num_planes
        self.layers = nn.ModuleList(
            nn.Conv2d(channels if layer else num_planes, channels, kernel_size=3, stride=2, padding=1)
            for layer in range(num_layers)
        )
        num_features = input_dim
        for _ in self.layers:
            num_features = ceil_half(num_features)
        self.dim = channels * num_features

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        # In the channels-last layout the layers take half the time on a CPU, and flattening copies nothing. The
        # weights need no conversion: a layer follows the layout of its input.
        states = source.values.unflatten(2, (self.num_planes, -1)).transpose(1, 2)  # (batch, planes, frames, features)
        states = states.to(memory_format=torch.channels_last)
        mask = source.mask
        for layer in self.layers:
            states = functional.relu(layer(states * mask[:, None, :, None]), inplace=True)
            mask = mask[:, ::2]  # the kernel is centered on every second frame
        return states.permute(0, 2, 3, 1).flatten(2), mask

    def output_lengths(self, num_frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        for _ in self.layers:
            num_frames = ceil_half(num_frames)
        return num_frames


class SpeechEncoder(Encoder):
    """A frontend and a pyramid of sequence encoders: the listener of Listen, Attend and Spell (Chan et al. 2016).

    From the second layer on, ``pyramid_layers`` layers take their input states in pairs, which halves time: attention
    chooses among fewer positions, and the layers above make fewer steps.
    """

    def __init__(
        self,
        frontend: Frontend,
        build_layer: Callable[[int, int, bool], SequenceEncoder],
        *,
        num_layers: int = 3,
        pyramid_layers: int = 0,
        dropout: float = 0.0,
    ):
        """Build a speech encoder.

        Args:
            frontend: Makes states of the frames.
            build_layer: Builds a sequence encoder, given the features of its inputs, its number of layers, and whether
                it is the topmost, whose summary is used.
            num_layers: Layers of all sequence encoders together.
            pyramid_layers: Layers that take states in pairs.
            dropout: Dropout rate of states and summary.

        Raises:
            ValueError: ``pyramid_layers`` is negative or not below ``num_layers``.
        """
        if not 0 <= pyramid_layers < num_layers:
            raise ValueError(
                f"pyramid_layers is {pyramid_layers} with {num_layers} layers; allowed is 0 to {num_layers - 1}"
            )
        super().__init__()
        self.frontend = frontend
        self.dropout = Dropout(dropout)
        input_dim, sequence_encoders = frontend.dim, []
        for layers in [1] * pyramid_layers + [num_layers - pyramid_layers]:  # states are paired between two of these
            sequence_encoders.append(build_layer(input_dim, layers, len(sequence_encoders) == pyramid_layers))
            input_dim = 2 * sequence_encoders[-1].dim
        self.bottom, *upper = sequence_encoders
        self.upper = nn.ModuleList(upper)
        self.dim = sequence_encoders[-1].dim

    def forward(self, source: SourceBatch) -> Memory:
        """Encode frames; ``source.values``: Float[Tensor, "batch frames features"], or precomputed frontend states."""
        states, mask = (source.values, source.mask) if source.precomputed else self.frontend(source)
        memory = self.bottom(states, mask)
        for sequence_encoder in self.upper:
            memory = sequence_encoder(*stack_pairs(self.dropout(memory.states), memory.mask))
        return Memory(self.dropout(memory.states), memory.mask, self.dropout(memory.summary))

    def output_lengths(self, num_frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Return the number of states of these numbers of frames, an upper bound for transcripts aligned by CTC."""
        num_states = self.frontend.output_lengths(num_frames)
        for _ in self.upper:
            num_states = ceil_half(num_states)
        return num_states


def ceil_half(length: Length) -> Length:
    """Return half of a length, rounded up."""
    return (length + 1) // 2


def stack_pairs(
    states: Float[Tensor, "batch source dim"], mask: Bool[Tensor, "batch source"]
) -> tuple[Float[Tensor, "batch pairs 2*dim"], Bool[Tensor, "batch pairs"]]:
    """Concatenate the states in pairs; a pair is real if its first state is, and a missing second one is zero."""
    states = functional.pad(states * mask[..., None], (0, 0, 0, states.size(1) % 2))
    return states.unflatten(1, (-1, 2)).flatten(2), mask[:, ::2]
