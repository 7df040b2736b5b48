"""The speed that the hardware would allow a model: its matrix products alone, at the rate of large products.

On a GPU a recurrent layer cannot reach that rate, since its steps follow each other. So there is a second limit, in
which the recurrent layers take the time of torch's own (cuDNN's on an NVIDIA GPU, oneDNN's on a CPU) for the same
shapes, and all other products run at the measured rate.
"""

import copy
import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from candidates import read_clock
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tasks.common.data.batching import Batch
from tasks.common.training.precision import autocast

PASSES = 3  # a forward pass, and the gradients of inputs and of weights, of as many operations each
NUM_TRIALS = 5
PEAK_SIDE = {"cpu": 2048, "cuda": 8192}

LossFunction = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class RecurrentCall:
    """A call of a recurrent layer of torch: the layer, and the shape of its input, (rows, steps, features)."""

    layer: nn.RNNBase
    rows: int
    steps: int

    @property
    def flops(self) -> int:
        """Operations of its forward and backward pass."""
        weights = sum(parameter.numel() for parameter in self.layer.parameters() if parameter.dim() == 2)
        return PASSES * 2 * self.rows * self.steps * weights


@dataclass(frozen=True)
class Cost:
    """The cost of training a model on a batch without padding.

    Attributes:
        flops: Floating-point operations of its matrix products and convolutions, forward and backward.
        recurrent_flops: Those of them inside recurrent layers.
        recurrent_s: Seconds that torch's own layers take for these.
        num_tokens: Target tokens of the batch.
    """

    flops: float
    recurrent_flops: float
    recurrent_s: float
    num_tokens: int

    def tokens_per_second(self, peak_flops: float) -> tuple[float, float]:
        """Return the limits given a rate of operations: of all products, and with torch's own recurrent layers."""
        with_layers = self.recurrent_s + (self.flops - self.recurrent_flops) / peak_flops
        return self.num_tokens * peak_flops / self.flops, self.num_tokens / with_layers


def measure_peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the floating-point operations per second of a large matrix product."""
    side = PEAK_SIDE[device.type]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / median_seconds(lambda: left @ right, device)


def measure_cost(
    model: nn.Module, loss: LossFunction, batch: Batch, device: torch.device, precision: str = "no"
) -> Cost:
    """Measure the cost of training a model on a batch.

    Args:
        model: The model, which is not changed.
        loss: Computes the loss of a copy of the model.
        batch: A batch without padding, on the CPU.
        device: The device whose recurrent layers are timed.
        precision: Their precision; see ``train.precision``.
    """
    local = copy.deepcopy(model).cpu().train()
    calls = recurrent_calls(local, lambda: loss(local, batch), batch)
    with warnings.catch_warnings(action="ignore"):  # of other settings of oneDNN
        # The products inside its fused layers and inside fused attention are not counted; those of their parts are.
        fused_off = torch.backends.mkldnn.flags(enabled=False)
        with fused_off, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            loss(local, batch).backward()
    return Cost(
        counter.get_total_flops(),
        sum(call.flops for call in calls),
        sum(time_recurrent(call, device, precision) for call in calls),
        batch.num_target_tokens,
    )


def recurrent_calls(model: nn.Module, run: Callable[[], object], batch: Batch) -> list[RecurrentCall]:
    """List the calls of recurrent layers in ``run``.

    The layer of a decoder that takes each step by itself, since its input is not known before, is never called. It is
    listed as if it were, once for the whole sentence.
    """
    calls: list[RecurrentCall] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.RNNBase)
        rows, steps = inputs[0].shape[:2] if layer.batch_first else inputs[0].shape[1::-1]
        calls.append(RecurrentCall(layer, rows, steps))

    layers = [module for module in model.modules() if isinstance(module, nn.RNNBase)]
    handles = [layer.register_forward_pre_hook(record) for layer in layers]
    run()
    for handle in handles:
        handle.remove()
    num_rows, num_steps = batch.tokens.size(0), batch.tokens.size(1) - 1
    called = {id(call.layer) for call in calls}
    return calls + [RecurrentCall(layer, num_rows, num_steps) for layer in layers if id(layer) not in called]


def time_recurrent(call: RecurrentCall, device: torch.device, precision: str) -> float:
    """Return the seconds of a forward and backward pass of a recurrent layer alone."""
    layer = copy.deepcopy(call.layer).to(device)
    shape = (call.rows, call.steps) if layer.batch_first else (call.steps, call.rows)
    inputs = torch.randn(*shape, layer.input_size, device=device, requires_grad=True)

    def run() -> None:
        with autocast(precision, device):
            outputs, _ = layer(inputs)
        outputs.sum().backward()

    return median_seconds(run, device)


def median_seconds(function: Callable[[], object], device: torch.device) -> float:
    """Return the median duration of calls after the first."""
    seconds: list[float] = []
    for _ in range(1 + NUM_TRIALS):
        start = read_clock(device)
        function()
        seconds.append(read_clock(device) - start)
    return statistics.median(seconds[1:])
