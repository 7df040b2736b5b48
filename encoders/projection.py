"""A projection of any encoder's memories, so that those of several encoders have the same number of features."""

from dataclasses import replace

from torch import nn

from attention.memory import Memory
from encoders.base import Encoder, Frontend, SourceBatch


class ProjectedEncoder(Encoder):
    """An encoder whose memories are projected to ``dim`` features, the states and the summary each by its own matrix.

    Attributes:
        encoder: The encoder.
    """

    def __init__(self, encoder: Encoder, dim: int):
        super().__init__()
        self.encoder, self.dim, self.has_token_ids = encoder, dim, encoder.has_token_ids
        self.state_proj, self.summary_proj = nn.Linear(encoder.dim, dim), nn.Linear(encoder.dim, dim)

    @property
    def frontend(self) -> Frontend | None:
        """The frontend of the encoder, if that has one for its only source."""
        return getattr(self.encoder, "frontend", None)

    def forward(self, source: SourceBatch) -> Memory:
        memory = self.encoder(source)
        return replace(memory, states=self.state_proj(memory.states), summary=self.summary_proj(memory.summary))
