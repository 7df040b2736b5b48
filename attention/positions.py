"""Position encodings, for networks without recurrence."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attention.config import PositionName

MAX_POSITIONS = 1024  # learned positions; all later ones share the last vector


class Sinusoidal(nn.Module):
    """Adds sines and cosines with geometrically increasing wavelengths (Vaswani et al. 2017)."""

    def forward(self, states: Float[Tensor, "batch length dim"], offset: int = 0) -> Float[Tensor, "batch length dim"]:
        """``offset``: the position of the first state."""
        angles = position_angles(states.size(1), (states.size(2) + 1) // 2, offset, states.device)
        encodings = torch.cat([angles.sin(), angles.cos()], dim=-1)[:, : states.size(2)]
        return states + encodings.to(states.dtype)


class Learned(nn.Module):
    """Adds a learned vector for each position (Gehring et al. 2017)."""

    def __init__(self, dim: int):
        super().__init__()
        self.vectors = nn.Parameter(nn.init.normal_(torch.empty(MAX_POSITIONS, dim), std=0.02))

    def forward(self, states: Float[Tensor, "batch length dim"], offset: int = 0) -> Float[Tensor, "batch length dim"]:
        """``offset``: the position of the first state."""
        positions = torch.arange(offset, offset + states.size(1), device=states.device).clamp(max=MAX_POSITIONS - 1)
        return states + self.vectors[positions]


class NoPositions(nn.Module):
    """Returns the states unchanged, where self-attention applies rotary positions."""

    def forward(self, states: Float[Tensor, "batch length dim"], offset: int = 0) -> Float[Tensor, "batch length dim"]:
        return states


def apply_rotary(
    vectors: Float[Tensor, "rows heads length dim"], offset: int
) -> Float[Tensor, "rows heads length dim"]:
    """Apply rotary positions (Su et al. 2021): rotate each pair of features by an angle proportional to the position.

    The dot product of a query and a key then depends on their positions only through the distance.

    Args:
        vectors: Queries or keys.
        offset: The position of the first vector.
    """
    half = vectors.size(-1) // 2
    angles = position_angles(vectors.size(-2), half, offset, vectors.device)
    cosine, sine = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    left, right = vectors.split(half, dim=-1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1)


def position_angles(
    length: int, num_frequencies: int, offset: int, device: torch.device
) -> Float[Tensor, "length frequencies"]:
    """Return the angles of ``length`` positions from ``offset`` on, at 1 down to 1/10000 radians a position."""
    positions = torch.arange(offset, offset + length, device=device, dtype=torch.float32)
    frequencies = torch.exp(torch.arange(num_frequencies, device=device) * (-math.log(10_000) / num_frequencies))
    return positions[:, None] * frequencies


def build_positions(name: PositionName, dim: int) -> nn.Module:
    """Build the module that adds position encodings to states of ``dim`` features.

    Rotary positions are applied in :class:`attention.self_attention.SelfAttention` instead, so here nothing is added.
    """
    match name:
        case "sinusoidal":
            return Sinusoidal()
        case "learned":
            return Learned(dim)
        case "rotary":
            return NoPositions()
