"""Recurrent networks as single ONNX operators; traced by torch, they become a loop over time."""

from typing import Any, cast

import torch
from torch import Tensor, nn

# The order of the gates in ONNX by their places in torch's.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


class RecurrentOperator(nn.Module):
    """ONNX's LSTM, GRU or RNN with the weights of a module of torch, for sequences that begin with zero states.

    It computes nothing outside of an export.
    """

    inputs: Tensor
    recurrent: Tensor
    bias: Tensor

    def __init__(self, rnn: nn.RNNBase):
        """``rnn``: one layer of one direction, which takes the batch first."""
        super().__init__()
        self.hidden_dim = rnn.hidden_size
        self.kind = type(rnn).__name__
        order = GATES[self.kind]

        def reordered(name: str) -> Tensor:
            gates = cast(Tensor, getattr(rnn, f"{name}_l0")).detach().chunk(len(order))
            return torch.cat([gates[gate] for gate in order])[None]

        self.register_buffer("inputs", reordered("weight_ih"))
        self.register_buffer("recurrent", reordered("weight_hh"))
        self.register_buffer("bias", torch.cat([reordered("bias_ih"), reordered("bias_hh")], dim=1))

    def forward(self, states: Tensor) -> tuple[Tensor]:
        """Return the output of every step, as the first item, like the modules of torch."""
        batch_size, length, _ = states.shape
        attributes: dict[str, Any] = {"hidden_size": self.hidden_dim}
        if self.kind == "GRU":
            attributes["linear_before_reset"] = 1  # the reset gate is applied after the product, as in torch
        outputs = torch.onnx.ops.symbolic(
            self.kind,
            (states.transpose(0, 1), self.inputs, self.recurrent, self.bias),
            attributes,
            dtype=states.dtype,
            shape=(length, 1, batch_size, self.hidden_dim),
        )
        return (outputs.squeeze(1).transpose(0, 1),)


def use_operators(module: nn.Module) -> None:
    """Replace all recurrent networks in a module by operators of ONNX."""
    for name, child in module.named_children():
        if isinstance(child, nn.RNNBase):
            setattr(module, name, RecurrentOperator(child))
        else:
            use_operators(child)
