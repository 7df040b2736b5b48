"""The reach of the gradient (Bengio et al. 1994): it shrinks at each step back in time, so early words teach little.

An encoder reads lists of 8 objects, 32 tokens or more. The gradient of its last state with respect to the n-th last
token is measured at the start and after training, for each cell, and for an LSTM whose forget gate does not start open
(Jozefowicz et al. 2015).
"""

import torch
from torch import nn

from encoders.base import SourceBatch
from encoders.recurrent import reverse_padded
from encoders.text import TextEncoder
from lessons.cells import cell_config
from lessons.figures import line_charts
from lessons.lesson import Result
from lessons.toy_text import ToyLists
from lessons.training import prepare, train
from tasks.common.cli.side_by_side import run_side_by_side

NETWORKS = {"LSTM": ("lstm", 1.0), "LSTM, forget bias 0": ("lstm", 0.0), "GRU": ("gru", 0.0), "RNN": ("rnn", 0.0)}
NUM_OBJECTS = 8
REACH = 32  # tokens, the end of the text included: those of the shortest text
COLUMNS = (1, 2, 4, 8, 16, 31)


def run(tiny: bool) -> Result:
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {"at the start": {}, "after training": {}}
    results = dict(run_side_by_side(measure, list(NETWORKS), tiny))
    for name in NETWORKS:
        for panel, reach in zip(panels.values(), results[name], strict=True):
            panel[name] = list(enumerate(reach))
    rows = [
        {"network": name, "measured": title} | {f"{back} back": f"{curve[back][1]:.2g}" for back in COLUMNS}
        for title, curves in panels.items()
        for name, curve in curves.items()
    ]
    charts = [(f"gradient {title} (last token = 1)", curves) for title, curves in panels.items()]
    return Result(rows, line_charts([charts], "tokens back from the last", log_y=True))


def measure(name: str, tiny: bool) -> tuple[list[float], list[float]]:
    """Return the reach of the gradient in an encoder at the start and after training."""
    cell, forget_bias = NETWORKS[name]
    task = ToyLists(cell_config(cell), 60 if tiny else 10_000, range(1, NUM_OBJECTS + 1))
    examples, model = prepare(task)
    set_forget_bias(model, forget_bias)
    texts = ToyLists(task.config, 1_000, range(NUM_OBJECTS, NUM_OBJECTS + 1)).load("test")["source"][:]
    source = task.batch_sources(texts, training=False)
    assert isinstance(model.encoder, TextEncoder)
    start = gradient_reach(model.encoder, source)
    train(task, model, examples, num_epochs=1 if tiny else 6)
    return start, gradient_reach(model.encoder, source)


def set_forget_bias(model: nn.Module, value: float) -> None:
    """Set the bias of the forget gates of a model's LSTMs; its other cells have none."""
    for module in model.modules():
        if isinstance(module, nn.LSTM):
            bias = module.get_parameter("bias_ih_l0").data
            nn.init.constant_(bias[module.hidden_size : 2 * module.hidden_size], value)


def gradient_reach(encoder: TextEncoder, source: SourceBatch) -> list[float]:
    """Return the norm of the gradient at the n-th last token, relative to that at the last one; means over texts.

    A random vector takes the place of the gradient that a decoder sends back to the last state.
    """
    states, mask = encoder.frontend(source)
    states = states.detach().requires_grad_()
    last_state = encoder.sequence_encoder(states, mask).summary
    (gradient,) = torch.autograd.grad(last_state, states, torch.randn_like(last_state))
    norms = reverse_padded(gradient.norm(dim=-1, keepdim=True), mask)[:, :REACH, 0].mean(dim=0)
    return (norms / norms[0]).tolist()
