"""The recurrence of a decoder: over a whole sentence at once, or step by step if its inputs depend on a context."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from attention.dropout import dropout
from encoders.config import CellName
from encoders.recurrent import CELLS

Linear = Callable[..., Tensor]  # functional.linear, or a DeferredGradLinear in a loop
Hidden = tuple[Float[Tensor, "layers rows dim"], ...]  # (hidden, cell) of an LSTM, (hidden,) of the others


class RecurrentCell(nn.Module):
    """A stacked LSTM, GRU or RNN whose input consists of known inputs and recurrent (fed-back) ones.

    The weights are those of the module in torch. Known inputs, such as the tokens of a teacher-forced sentence, are
    multiplied by them for all steps at once, outside of the loop (``project_inputs``), and ``step`` adds the rest.
    Without recurrent inputs, ``run`` processes the whole sentence in one fused call. ``step`` and ``run`` agree.
    """

    def __init__(
        self, cell: CellName, known_dim: int, recurrent_dim: int, hidden_dim: int, num_layers: int, dropout: float
    ):
        """Build the cell.

        Args:
            cell: Type of the cell.
            known_dim: Size of the known inputs.
            recurrent_dim: Size of the inputs that depend on the previous step; 0 for none.
            hidden_dim: Size of the hidden states.
            num_layers: Number of layers.
            dropout: Dropout probability between layers.
        """
        super().__init__()
        layer_dropout = dropout if num_layers > 1 else 0.0
        self.rnn = CELLS[cell](
            known_dim + recurrent_dim, hidden_dim, num_layers, batch_first=True, dropout=layer_dropout
        )
        self.kind = cell
        self.known_dim = known_dim
        self.num_states = 2 if cell == "lstm" else 1

    def run(
        self, inputs: Float[Tensor, "batch target known"], hidden: Hidden
    ) -> tuple[Float[Tensor, "batch target dim"], Hidden]:
        """Run all steps of a sentence; return the outputs of the top layer and the last states of all layers."""
        states, last = self.rnn(inputs, hidden if self.num_states == 2 else hidden[0])
        return states, last if self.num_states == 2 else (last,)

    def project_inputs(
        self, known: Float[Tensor, "*positions known"], linear: Linear = functional.linear
    ) -> Float[Tensor, "*positions gates"]:
        """Return the part of the first layer's gates that comes from known inputs, including the input bias."""
        weight, _, bias, _ = self.weights(0)
        return linear(known, weight[:, : self.known_dim], bias)

    def step(
        self,
        projected: Float[Tensor, "rows gates"],
        recurrent: Float[Tensor, "rows recurrent"] | None,
        hidden: Hidden,
        linear: Linear = functional.linear,
    ) -> tuple[Float[Tensor, "rows dim"], Hidden]:
        """Take one step of all layers.

        Args:
            projected: The result of :meth:`project_inputs`.
            recurrent: The recurrent inputs, if there are any.
            hidden: The states of all layers.
            linear: The function that multiplies inputs by weights.

        Returns:
            The output of the top layer and the next states of all layers.
        """
        following: list[tuple[Tensor, ...]] = []
        for layer, states in enumerate(zip(*(part.unbind(0) for part in hidden), strict=True)):
            input_weight, hidden_weight, input_bias, hidden_bias = self.weights(layer)
            if layer > 0:
                lower = following[-1][0]
                lower = dropout(lower, self.rnn.dropout) if self.training else lower
                projected = linear(lower, input_weight, input_bias)
            elif recurrent is not None:
                projected = projected + linear(recurrent, input_weight[:, self.known_dim :])
            following.append(CELL_STEPS[self.kind](projected, linear(states[0], hidden_weight, hidden_bias), *states))
        return following[-1][0], tuple(torch.stack(parts) for parts in zip(*following, strict=True))

    def weights(self, layer: int) -> list[Any]:
        """Return the input and hidden weights and biases of a layer."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self.rnn, f"{name}_l{layer}") for name in names]


def lstm_step(inputs: Tensor, recurrent: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """LSTM (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000); inputs are (rows, gates)."""
    input_gate, forget_gate, content, output_gate = (inputs + recurrent).chunk(4, dim=-1)
    cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(input_gate) * torch.tanh(content)
    return torch.sigmoid(output_gate) * torch.tanh(cell), cell


def gru_step(inputs: Tensor, recurrent: Tensor, hidden: Tensor) -> tuple[Tensor]:
    """GRU (Cho et al. 2014), with the reset gate applied after the matrix product, as in torch."""
    reset, update, content = inputs.chunk(3, dim=-1)
    hidden_reset, hidden_update, hidden_content = recurrent.chunk(3, dim=-1)
    content = torch.tanh(content + torch.sigmoid(reset + hidden_reset) * hidden_content)
    keep = torch.sigmoid(update + hidden_update)
    return (keep * hidden + (1 - keep) * content,)


def rnn_step(inputs: Tensor, recurrent: Tensor, _: Tensor) -> tuple[Tensor]:
    """Simple recurrent network (Elman 1990)."""
    return (torch.tanh(inputs + recurrent),)


CELL_STEPS: dict[str, Any] = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}
