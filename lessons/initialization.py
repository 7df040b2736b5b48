"""The start: weights that keep the size of activations and of gradients from layer to layer, and others that do not.

Xavier's start (Glorot & Bengio 2010) is made for activations that are linear around zero, such as tanh, He's (He et al.
2015) for ReLU. Each is measured in a stack of twenty layers that classifies handwritten digits, and then trained.
"""

from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lessons.figures import line_charts
from lessons.lesson import Result, mean_and_range
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.training.config import InitName
from tasks.common.training.initialization import init_weights

NUM_LAYERS, WIDTH = 20, 64  # as many units in a layer as an image of 8 × 8 pixels has
ACTIVATIONS = {"tanh": nn.Tanh, "ReLU": nn.ReLU}
STARTS: dict[str, tuple[InitName, float]] = {  # the distribution, and a factor
    "half of Xavier's": ("xavier", 0.5),
    "PyTorch's own": ("default", 1.0),
    "Xavier's": ("xavier", 1.0),
    "He's": ("he", 1.0),
    "twice He's": ("he", 2.0),
}
SEEDS = range(1, 6)
Profile = list[tuple[int, float]]  # a size by layer


def run(tiny: bool) -> Result:
    names = [f"{activation}, {start}" for activation in ACTIVATIONS for start in STARTS]
    measured = dict(run_side_by_side(measure, names, tiny))
    rows = [dict(zip(("activation", "start"), name.split(", "), strict=True)) | measured[name][0] for name in names]
    grid = [
        [
            (f"{quantity}, {activation}", {start: measured[f"{activation}, {start}"][1][index] for start in STARTS})
            for activation in ACTIVATIONS
        ]
        for index, quantity in enumerate(("size of activations", "size of gradients"))
    ]
    return Result(rows, line_charts(grid, "layer", log_y=True))


def measure(name: str, tiny: bool) -> tuple[dict[str, str], tuple[Profile, Profile]]:
    """Return the row of a start, and the sizes of activations and gradients by layer: geometric means over seeds."""
    activation, start = name.split(", ")
    images, digits = load_images()
    train, test = slice(None, 1400), slice(1400, None)
    profiles, right = [], []
    for seed in SEEDS[:1] if tiny else SEEDS:
        torch.manual_seed(seed)
        stack = build_stack(ACTIVATIONS[activation], *STARTS[start])
        profiles.append(measure_layers(stack, images[train], digits[train]))
        learn(stack, images[train], digits[train], 5 if tiny else 500)
        right.append(100 * (stack(images[test]).argmax(dim=1) == digits[test]).double().mean().item())
    activations, gradients = torch.stack(profiles).log().mean(dim=0).exp().tolist()
    row = {
        "activations, layer 1": f"{activations[0]:.2g}",
        f"activations, layer {NUM_LAYERS}": f"{activations[-1]:.2g}",
        f"gradients, layer {NUM_LAYERS}": f"{gradients[-1]:.2g}",
        "gradients, layer 1": f"{gradients[0]:.2g}",
        "test digits right after training, %": mean_and_range(right),
    }
    return row, (list(enumerate(activations, 1)), list(enumerate(gradients, 1)))


def load_images() -> tuple[Tensor, Tensor]:
    """Return scikit-learn's digits: their pixels, with mean 0 and standard deviation 1, and what they show."""
    digits: Any = load_digits()
    pixels = torch.tensor(digits.data, dtype=torch.float32)
    return (pixels - pixels.mean()) / pixels.std(), torch.tensor(digits.target)


def build_stack(activation: type[nn.Module], init: InitName, factor: float) -> nn.Sequential:
    """Build layers of one size, and an output layer for ten digits."""
    hidden = (nn.Sequential(nn.Linear(WIDTH, WIDTH), activation()) for _ in range(NUM_LAYERS))
    stack = nn.Sequential(*hidden, nn.Linear(WIDTH, 10))
    init_weights(stack, init)
    for parameter in stack.parameters():
        parameter.data *= factor
    return stack


def measure_layers(stack: nn.Sequential, images: Tensor, digits: Tensor) -> Tensor:
    """Return the root mean square of each layer's activations, and of the gradients that reach them; (2, layers)."""
    states = [images]
    for layer in stack:
        states.append(layer(states[-1]))
    gradients = torch.autograd.grad(functional.cross_entropy(states[-1], digits, reduction="sum"), states[1:-1])
    return torch.tensor([[rms(each) for each in part] for part in (states[1:-1], gradients)])


def rms(values: Tensor) -> float:
    return values.square().mean().sqrt().item()


def learn(stack: nn.Sequential, images: Tensor, digits: Tensor, num_steps: int) -> None:
    """Train the stack by stochastic gradient descent with momentum, on 64 images in each step."""
    optimizer = torch.optim.SGD(stack.parameters(), lr=0.003, momentum=0.9)
    for _ in range(num_steps):
        rows = torch.randint(len(images), (64,))
        functional.cross_entropy(stack(images[rows]), digits[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
