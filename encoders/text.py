"""The recurrent text encoder: token ids in, one state for each token out."""

from torch import nn

from encoders.base import Encoder, Memory, Source
from encoders.recurrent import Cell, Recurrent, flip


class TextEncoder(Encoder):
    """Embeds tokens and reads them with a (bidirectional) RNN, as Bahdanau et al. 2015 do.

    With ``reverse`` the sentence is read from its last word to its first, which brings the beginnings of the
    two sentences close together and made the first LSTM translators work (Sutskever et al. 2014).
    The states stay in the order of the sentence, so an alignment reads the same either way.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        hidden_dim: int,
        *,
        cell: Cell = "lstm",
        num_layers: int = 1,
        bidirectional: bool = True,
        reverse: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.embedding = embedding
        self.reverse = reverse
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Recurrent(
            embedding.embedding_dim,
            hidden_dim,
            cell=cell,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.dim = self.recurrent.dim

    def forward(self, source: Source) -> Memory:
        """``source.values``: Int[Tensor, "batch source"], token ids."""
        inputs = self.dropout(self.embedding(source.values))  # (batch, source, embedding)
        if self.reverse:
            inputs = flip(inputs, source.mask)
        memory = self.recurrent(inputs, source.mask)
        states = flip(memory.states, source.mask) if self.reverse else memory.states
        return Memory(self.dropout(states), memory.mask, self.dropout(memory.summary))
