"""The recurrence of a decoder: run over a whole sentence at once, or step by step when inputs wait for a context."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from encoders.recurrent import CELLS, CellName

Linear = Callable[..., Tensor]  # functional.linear, or what stands for it in a loop
Hidden = tuple[Float[Tensor, "layers rows dim"], ...]  # (hidden, cell) of an LSTM, (hidden,) of the others


class RecurrentCell(nn.Module):
    """A stacked LSTM, GRU or RNN whose input has two parts: what is known beforehand and what is fed back.

    The weights are those of torch's own module. What is known, the target words of a teacher-forced sentence, is
    multiplied with them for all steps at once, outside of the loop: ``project_inputs``, then ``step`` by step.
    Without a fed part ``run`` takes the whole sentence in one fused call. ``step`` and ``run`` agree.
    """

    def __init__(self, cell: CellName, known_dim: int, fed_dim: int, hidden_dim: int, num_layers: int, dropout: float):
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.rnn = CELLS[cell](known_dim + fed_dim, hidden_dim, num_layers, batch_first=True, dropout=between)
        self.kind = cell
        self.known_dim = known_dim
        self.num_states = 2 if cell == "lstm" else 1

    def run(
        self, inputs: Float[Tensor, "batch target known"], hidden: Hidden
    ) -> tuple[Float[Tensor, "batch target dim"], Hidden]:
        states, last = self.rnn(inputs, hidden if self.num_states == 2 else hidden[0])
        return states, last if self.num_states == 2 else (last,)

    def project_inputs(self, known: Float[Tensor, "*positions known"]) -> Float[Tensor, "*positions gates"]:
        """The known inputs' part of the first layer's gates, with the bias of the inputs."""
        weight, _, bias, _ = self.weights(0)
        return functional.linear(known, weight[:, : self.known_dim], bias)

    def step(
        self,
        project_inputs: Float[Tensor, "rows gates"],
        fed: Float[Tensor, "rows fed"] | None,
        hidden: Hidden,
        linear: Linear = functional.linear,
    ) -> tuple[Float[Tensor, "rows dim"], Hidden]:
        """One step of all layers; returns the top layer's output and what all layers carry on."""
        carried: list[tuple[Tensor, ...]] = []
        for layer, own in enumerate(zip(*(states.unbind(0) for states in hidden), strict=True)):
            input_weight, hidden_weight, input_bias, hidden_bias = self.weights(layer)
            if layer > 0:
                below = functional.dropout(carried[-1][0], self.rnn.dropout, self.training)
                project_inputs = linear(below, input_weight, input_bias)
            elif fed is not None:
                project_inputs = project_inputs + linear(fed, input_weight[:, self.known_dim :])
            carried.append(CELL_STEPS[self.kind](project_inputs, linear(own[0], hidden_weight, hidden_bias), *own))
        return carried[-1][0], tuple(torch.stack(states) for states in zip(*carried, strict=True))

    def weights(self, layer: int) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self.rnn, f"{name}_l{layer}") for name in names]


def lstm_step(inputs: Tensor, recurrent: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000. All (rows, gates)."""
    write, forget, content, read = (inputs + recurrent).chunk(4, dim=-1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(content)
    return torch.sigmoid(read) * torch.tanh(cell), cell


def gru_step(inputs: Tensor, recurrent: Tensor, hidden: Tensor) -> tuple[Tensor]:
    """Cho et al. 2014, in the form in which the reset gate stands behind the product, as torch's is."""
    reset, update, content = inputs.chunk(3, dim=-1)
    own_reset, own_update, own_content = recurrent.chunk(3, dim=-1)
    content = torch.tanh(content + torch.sigmoid(reset + own_reset) * own_content)
    keep = torch.sigmoid(update + own_update)
    return (keep * hidden + (1 - keep) * content,)


def rnn_step(inputs: Tensor, recurrent: Tensor, _: Tensor) -> tuple[Tensor]:
    """Elman 1990."""
    return (torch.tanh(inputs + recurrent),)


CELL_STEPS: dict[str, Any] = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}
