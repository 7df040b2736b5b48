"""Where in the sequence a state stands, told to networks that cannot know it: attention alone, and convolutions."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

PositionName = Literal["sinusoidal", "learned", "rotary"]
MAX_POSITIONS = 1024  # learned positions; all beyond share the last one


class Sinusoidal(nn.Module):
    """Adds sines and cosines of geometrically growing wavelengths (Vaswani et al. 2017)."""

    def forward(self, states: Float[Tensor, "batch length dim"], first: int = 0) -> Float[Tensor, "batch length dim"]:
        """``first``: the position of the first of these states."""
        angles = rotations(states.size(1), (states.size(2) + 1) // 2, first, states.device)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)[:, : states.size(2)]
        return states + waves.to(states.dtype)


class Learned(nn.Module):
    """Adds a learned vector for each position (Gehring et al. 2017)."""

    def __init__(self, dim: int):
        super().__init__()
        self.vectors = nn.Parameter(0.02 * torch.randn(MAX_POSITIONS, dim))

    def forward(self, states: Float[Tensor, "batch length dim"], first: int = 0) -> Float[Tensor, "batch length dim"]:
        places = torch.arange(first, first + states.size(1), device=states.device).clamp(max=MAX_POSITIONS - 1)
        return states + self.vectors[places]


class NoPositions(nn.Module):
    """Adds nothing: positions come in elsewhere."""

    def forward(self, states: Float[Tensor, "batch length dim"], first: int = 0) -> Float[Tensor, "batch length dim"]:
        return states


def apply_rotary(vectors: Float[Tensor, "rows heads length dim"], first: int) -> Float[Tensor, "rows heads length dim"]:
    """Rotary positions (Su et al. 2021): each pair of features is turned by an angle that grows with the position.

    So the product of a query and a key depends on how far they stand apart, and on nothing else of their positions.
    """
    half = vectors.size(-1) // 2
    angles = rotations(vectors.size(-2), half, first, vectors.device)
    cosine, sine = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    left, right = vectors.split(half, dim=-1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1)


def rotations(length: int, frequencies: int, first: int, device: torch.device) -> Float[Tensor, "length frequencies"]:
    """Angles of the positions from ``first`` on, from one radian a position down to a ten-thousandth of it."""
    places = torch.arange(first, first + length, device=device, dtype=torch.float32)
    speeds = torch.exp(torch.arange(frequencies, device=device) * (-math.log(10_000) / frequencies))
    return places[:, None] * speeds


def build_positions(name: PositionName, dim: int) -> nn.Module:
    """What is added to states of ``dim`` features; rotary positions are the affair of each self-attention."""
    match name:
        case "sinusoidal":
            return Sinusoidal()
        case "learned":
            return Learned(dim)
        case "rotary":
            return NoPositions()
