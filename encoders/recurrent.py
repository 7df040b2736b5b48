"""A recurrent encoder of any padded sequence of vectors: stacked, optionally bidirectional."""

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from attention.dropout import Dropout
from attention.memory import Memory
from encoders.base import SequenceEncoder
from encoders.config import CellName

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RecurrentEncoder(SequenceEncoder):
    """LSTM (Hochreiter & Schmidhuber 1997), GRU (Cho et al. 2014) or Elman RNN, with one or two directions per layer.

    The backward direction is a separate RNN over each row reversed, from its last real position to its first. Padding
    is then at the end for both directions and cannot change a real state, and each direction is one fused call: about
    twice as fast on a CPU, in training, as torch's packed sequences, which split every step.
    The default summary is the concatenation of the top layer's final states, one for each direction.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        *,
        cell: CellName = "lstm",
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        pooling: nn.Module | None = None,
    ):
        """``hidden_dim``: features of a state for each direction. ``pooling``: replaces the default summary."""
        super().__init__()
        num_directions = 2 if bidirectional else 1
        self.dim = hidden_dim * num_directions
        self.dropout = Dropout(dropout)
        self.pooling = pooling
        self.layers = nn.ModuleList(
            nn.ModuleList(
                CELLS[cell](self.dim if layer else input_dim, hidden_dim, batch_first=True)
                for _ in range(num_directions)
            )
            for layer in range(num_layers)
        )

    def forward(self, states: Float[Tensor, "batch source features"], mask: Bool[Tensor, "batch source"]) -> Memory:
        last_position = (mask.sum(dim=1) - 1)[:, None, None]  # (batch, 1, 1)
        final_states = []
        for index, layer in enumerate(self.layers):
            forward_rnn, *backward_rnns = cast(nn.ModuleList, layer)
            inputs = self.dropout(states) if index else states
            outputs = [forward_rnn(inputs)[0]]
            outputs += [rnn(reverse_padded(inputs, mask))[0] for rnn in backward_rnns]
            final_states = [output.gather(1, last_position.expand_as(output[:, :1])).squeeze(1) for output in outputs]
            states = torch.cat([outputs[0], *(reverse_padded(output, mask) for output in outputs[1:])], dim=-1)
        return Memory(states, mask, self.pooling(states, mask) if self.pooling else torch.cat(final_states, dim=-1))


def reverse_padded(
    states: Float[Tensor, "batch source dim"], mask: Bool[Tensor, "batch source"]
) -> Float[Tensor, "batch source dim"]:
    """Reverse the real positions of each row and leave its padding at the end."""
    positions = torch.arange(states.size(1), device=states.device)
    lengths = mask.sum(dim=1, keepdim=True)
    index = torch.where(mask, lengths - 1 - positions, positions)  # (batch, source)
    return states.gather(1, index[..., None].expand_as(states))
