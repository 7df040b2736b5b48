"""The speech encoder: frames of sound in, fewer and richer states out."""

from collections.abc import Callable
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from encoders.base import Encoder, Frontend, Memory, SequenceEncoder, SourceBatch

Length = TypeVar("Length", int, Tensor)


class ConvSubsampling(Frontend):
    """Convolutions over time and frequency, 3×3, each of which halves both (Zhang et al. 2017)."""

    def __init__(self, features: int, channels: int, num_layers: int):
        super().__init__()
        self.features = features
        self.layers = nn.ModuleList(
            nn.Conv2d(channels if layer else 1, channels, kernel_size=3, stride=2, padding=1)
            for layer in range(num_layers)
        )
        for _ in self.layers:
            features = ceil_half(features)
        self.dim = channels * features if num_layers else features

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        # With the channels last in memory the layers take half the time on a CPU, and flattening copies nothing. The
        # weights can stay as they are: a layer follows the layout of its input.
        states = source.values[:, None].to(memory_format=torch.channels_last)  # (batch, channels, frames, features)
        mask = source.mask
        for layer in self.layers:
            states = functional.relu(layer(states * mask[:, None, :, None]), inplace=True)
            mask = mask[:, ::2]  # the middle of the kernel stands on every second frame
        return states.permute(0, 2, 3, 1).flatten(2), mask

    def output_lengths(self, frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        for _ in self.layers:
            frames = ceil_half(frames)
        return frames


class SpeechEncoder(Encoder):
    """A front end and a pyramid of readers: the listener of Chan et al. 2016, Listen, Attend and Spell.

    From the second layer on, ``pyramid`` layers read their input two states at a time, side by side, so each halves
    time: attention has fewer places to choose from, and the layers above have fewer steps to take.
    """

    def __init__(
        self,
        frontend: Frontend,
        build: Callable[[int, int, bool], SequenceEncoder],
        *,
        num_layers: int = 3,
        pyramid: int = 0,
        dropout: float = 0.0,
    ):
        """``build``: makes a reader of inputs with so many features, with so many layers, that is the topmost or not.

        Raises ValueError if there are not more layers than ``pyramid``.
        """
        if not 0 <= pyramid < num_layers:
            raise ValueError(f"pyramid is {pyramid} of {num_layers} layers; allowed is 0 to {num_layers - 1}")
        super().__init__()
        self.frontend = frontend
        self.dropout = nn.Dropout(dropout)
        input_dim, readers = frontend.dim, []
        for layers in [1] * pyramid + [num_layers - pyramid]:  # pairs are joined between two of these
            readers.append(build(input_dim, layers, len(readers) == pyramid))
            input_dim = 2 * readers[-1].dim
        self.bottom, *upper = readers
        self.upper = nn.ModuleList(upper)
        self.dim = readers[-1].dim

    def forward(self, source: SourceBatch) -> Memory:
        """``source.values``: Float[Tensor, "batch frames features"], or the front end's states if ``precomputed``."""
        states, mask = (source.values, source.mask) if source.precomputed else self.frontend(source)
        memory = self.bottom(states, mask)
        for sequence_encoder in self.upper:
            memory = sequence_encoder(*stack_pairs(self.dropout(memory.states), memory.mask))
        return Memory(self.dropout(memory.states), memory.mask, self.dropout(memory.summary))

    def output_lengths(self, frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How many states so many frames become, which bounds the transcripts that can be aligned to them."""
        frames = self.frontend.output_lengths(frames)
        for _ in self.upper:
            frames = ceil_half(frames)
        return frames


def ceil_half(length: Length) -> Length:
    """Half of a length, rounded up: the last of an odd number is kept."""
    return (length + 1) // 2


def stack_pairs(
    states: Float[Tensor, "batch source dim"], mask: Bool[Tensor, "batch source"]
) -> tuple[Float[Tensor, "batch pairs 2*dim"], Bool[Tensor, "batch pairs"]]:
    """Neighbours side by side; a pair is real if its first is, and a missing second is zero."""
    states = functional.pad(states * mask[..., None], (0, 0, 0, states.size(1) % 2))
    return states.unflatten(1, (-1, 2)).flatten(2), mask[:, ::2]
