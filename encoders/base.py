"""The contract of encoders: a batch of inputs in, a :class:`attention.memory.Memory` out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from attention.memory import Memory, check_mask


@dataclass(frozen=True)
class SourceBatch:
    """A batch of inputs, padded to one length.

    Args:
        values: Token ids (batch, source), feature frames (batch, source, features), pixels, or whatever else the
            encoder of the modality takes.
        mask: True where an input is real, at least once in each row, False where it is padding.
        precomputed: Whether the values are outputs of the encoder's frozen frontend, computed before and cached.
        others: Further inputs that belong to these, row by row, for encoders of several (encoders/multi_source.py).
        token_ids: The ids of the tokens at precomputed states of text, as ``Frontend.token_ids`` returns them.
        lengths: The number of real positions of each row, where it is known without asking the device.
    """

    values: Tensor
    mask: Bool[Tensor, "batch source"]
    precomputed: bool = False
    others: "tuple[SourceBatch, ...]" = ()
    token_ids: Int[Tensor, "batch source"] | None = None
    lengths: tuple[int, ...] | None = None

    def __post_init__(self):
        check_mask(self.mask)

    def to(self, device: torch.device) -> "SourceBatch":
        """Copy the batch to a device, and keep the lengths."""
        lengths = tuple(self.mask.sum(dim=1).tolist()) if self.lengths is None else self.lengths
        counted = replace(self, lengths=lengths, others=tuple(other.to(device) for other in self.others))
        return counted.map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "SourceBatch":
        """Move the batch to memory from which a GPU copies while the program goes on."""
        return self.map(Tensor.pin_memory)

    def map(self, function: Callable[[Tensor], Tensor]) -> "SourceBatch":
        """Apply a function that keeps the values to all tensors."""
        return replace(
            self,
            values=function(self.values),
            mask=function(self.mask),
            others=tuple(other.map(function) for other in self.others),
            token_ids=None if self.token_ids is None else function(self.token_ids),
        )


class Encoder(nn.Module, ABC):
    """An encoder of one modality; the states and the summary of its memories have ``dim`` features.

    ``has_token_ids``: its memories have ``token_ids``, so that a decoder can copy from the source.
    """

    dim: int
    has_token_ids: bool = False

    @abstractmethod
    def forward(self, source: SourceBatch) -> Memory:
        """Encode ``source``. Padding must not change the state of any real position."""


class Frontend(nn.Module, ABC):
    """The first part of an encoder: text, audio, images, video or features in, states with ``dim`` features out.

    A frontend is trained from scratch or pretrained (encoders/pretrained/).

    Attributes:
        activation: The activation after the projection of its states, where they are not normalized.
    """

    dim: int
    activation: type[nn.Module] = nn.ReLU

    @abstractmethod
    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """Return states and their mask. Padding must not change the state of any real position."""

    def output_lengths(self, num_frames: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Return the number of states of inputs with these numbers of frames."""
        return num_frames

    def token_ids(self, source: SourceBatch) -> Int[Tensor, "batch states"] | None:
        """Return the id of the token at each state, in the frontend's vocabulary; None if the source is not text."""
        return None


class SequenceEncoder(nn.Module, ABC):
    """An encoder of any padded sequence of vectors; its states have ``dim`` features."""

    dim: int

    @abstractmethod
    def forward(self, states: Float[Tensor, "batch source features"], mask: Bool[Tensor, "batch source"]) -> Memory:
        """Encode a sequence into as many states. In each row real positions must come before padding."""


class IdentityFrontend(Frontend):
    """The frontend of inputs that are features already: each row, a frame or an image region, is a state."""

    def __init__(self, input_dim: int):
        super().__init__()
        self.dim = input_dim

    def forward(self, source: SourceBatch) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        return source.values, source.mask
