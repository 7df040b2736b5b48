"""What every encoder receives and returns: the contract between a modality and the shared decoder."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class SourceBatch:
    """A batch of raw inputs, padded to one length.

    ``values`` are token ids (batch, source), feature frames (batch, source, features), pixels ... whatever the
    encoder of the modality reads; ``mask`` is True where an input is real and False where it is padding.
    ``precomputed``: the values are what the encoder's frozen front end returned, computed once and kept.
    """

    values: Tensor
    mask: Bool[Tensor, "batch source"]
    precomputed: bool = False

    def to(self, device: torch.device) -> "Source":
        values, mask = (tensor.to(device, non_blocking=True) for tensor in (self.values, self.mask))
        return SourceBatch(values, mask, self.precomputed)


@dataclass(frozen=True)
class Memory:
    """What every encoder returns, always complete.

    ``states`` is what attention looks at, ``mask`` says which states are real (True), and ``summary`` is the
    fixed-length context vector: the decoder starts from it, and a decoder without attention sees nothing else.
    ``segments``: the number of the segment in which each state lies (its sentence, row, frame), counted from 0, where
    there are such; hierarchical attention goes by it. ``tokens``: what stands at each state, where the source is text,
    as the target's vocabulary counts; a decoder that copies goes by it.
    """

    states: Float[Tensor, "batch source dim"]
    mask: Bool[Tensor, "batch source"]
    summary: Float[Tensor, "batch dim"]
    segments: Int[Tensor, "batch source"] | None = None
    tokens: Int[Tensor, "batch source"] | None = None

    def select(self, rows: Int[Tensor, " rows"]) -> "Memory":
        """The memory of some of the batch's sentences, in the order of ``rows``."""
        segments, tokens = (None if each is None else each[rows] for each in (self.segments, self.tokens))
        return Memory(self.states[rows], self.mask[rows], self.summary[rows], segments, tokens)


class Encoder(nn.Module, ABC):
    """Turns a batch of one modality into a :class:`Memory` whose states and summary have ``dim`` features.

    ``reads_text``: its memories have tokens, which can be copied.
    """

    dim: int
    reads_text: bool = False

    @abstractmethod
    def forward(self, source: SourceBatch) -> Memory:
        """Encode ``source``; padding must never change what a real position gets."""


class Frontend(nn.Module, ABC):
    """What reads the raw values first: sound, pictures or features in, states of ``dim`` numbers out.

    A front end may be trained from scratch, or come trained (encoders/pretrained.py).
    """

    dim: int

    @abstractmethod
    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """States and their mask; padding must never change what a real position gets."""

    def output_lengths(self, frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """How many states sources of so many frames become."""
        return frames


class SequenceEncoder(nn.Module, ABC):
    """What makes a memory of a sequence of vectors, whatever they stand for; its states have ``dim`` features."""

    dim: int

    @abstractmethod
    def forward(self, states: Float[Tensor, "batch source features"], mask: Bool[Tensor, "batch source"]) -> Memory:
        """As many states as there were. Real positions must come before padding in each row."""


class IdentityFrontend(Frontend):
    """No front end: each row of features, a frame or a region, is a state."""

    def __init__(self, features: int):
        super().__init__()
        self.dim = features

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        return source.values, source.mask
