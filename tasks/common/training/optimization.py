"""How a model learns: starting values, optimiser, and what changes while it learns."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from encoders.pretrained.base import PretrainedFrontend
from tasks.common.errors import at_least, check

Init = Literal["default", "xavier", "he", "uniform", "orthogonal"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    epochs: int = 30
    minutes: float = 0.0
    """Stop after so many minutes of training (0: no limit)."""
    seed: int = 1
    lr: float = 1e-3
    encoder_lr: float = 0.0
    """Learning rate of a pretrained encoder (0: it is frozen, and what it returns is computed once and kept)."""
    unfreeze_at: int = 0
    """Updates for which a pretrained encoder that learns stays frozen; its rate then rises as slowly."""
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Largest norm of an update's gradient (0: any)."""
    schedule: Literal["plateau", "cosine", "inverse_sqrt", "constant"] = "plateau"
    warmup: int = 0
    """Updates in which the learning rate rises from zero."""
    plateau_factor: float = 0.5
    plateau_patience: int = 1
    """Evaluations without a better score before the rate is multiplied by ``plateau_factor``."""
    patience: int = 6
    """Evaluations without a better score before training stops (0: never)."""
    objective: Literal["likelihood", "scst"] = "likelihood"
    """Learn what people wrote, or, as a second phase after --init-from, self-critically what scores well by CIDEr
    (Rennie et al. 2017)."""
    draws: int = 5
    """Sentences drawn for a source in self-critical training."""
    label_smoothing: float = 0.1
    scheduled_sampling: Literal["none", "linear", "exponential", "inverse_sigmoid"] = "none"
    """How the share of true tokens that the decoder reads falls (Bengio et al. 2015)."""
    sampling_half: int = 5000
    """Updates after which half of the tokens read are the decoder's own."""
    sampling_floor: float = 0.25
    """The share of true tokens never falls below this."""
    init: Init = "xavier"
    accumulate: int = 1
    """Batches an update and process."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    evaluate_every: int = 0
    """Updates between two evaluations (0: at the end of each epoch)."""
    save_every: int = 500
    """Updates between two saves of last/; an evaluation saves too."""
    average: int = 4
    """How many of the best checkpoints are averaged at the end (0 or 1: none)."""
    diagonal_by: int = 10
    """Epochs after which the log warns of attention that is no diagonal yet, where source and target run in order."""
    workers: int = 0
    """Processes that prepare batches beside the training."""
    tensorboard: bool = False

    def __post_init__(self):
        allowed = {
            "lr": (0 < self.lr < math.inf, "above 0"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 to below 1"),
            "sampling_floor": (0 <= self.sampling_floor <= 1, "0 to 1"),
            "plateau_factor": (0 < self.plateau_factor < 1, "between 0 and 1"),
        }
        allowed |= at_least(1, self, "epochs", "accumulate", "sampling_half") | at_least(2, self, "draws")
        allowed |= at_least(0, self, "minutes", "seed", "encoder_lr", "unfreeze_at", "weight_decay", "clip", "warmup")
        allowed |= at_least(0, self, "plateau_patience", "patience")
        allowed |= at_least(0, self, "evaluate_every", "save_every", "average", "diagonal_by", "workers")
        check("train", self, allowed)


def init_weights(model: nn.Module, init: Init) -> None:
    """Fill every matrix from the named distribution, every bias with zero.

    xavier: Glorot & Bengio 2010; he: He et al. 2015; uniform: (-0.08, 0.08), Sutskever et al. 2014; orthogonal:
    Saxe et al. 2014. An RNN's stacked gates are filled one by one, for their matrices only share memory. An LSTM's
    forget gate starts open, at one (Jozefowicz et al. 2015). Embeddings are normal with a deviation of dim^-1/2, so
    that a tied output starts with logits of size one. "default" leaves what torch does.
    """
    if init == "default":
        return
    fill = {
        "xavier": nn.init.xavier_uniform_,
        "he": nn.init.kaiming_uniform_,
        "uniform": lambda matrix: nn.init.uniform_(matrix, -0.08, 0.08),
        "orthogonal": nn.init.orthogonal_,
    }[init]
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}
    spared = {part for body in pretrained(model) for part in body.modules()}
    for module in model.modules():
        if module in spared:
            continue
        if type(module) in gates:
            for name, parameter in module.named_parameters():
                if parameter.dim() == 1:
                    nn.init.zeros_(parameter)
                else:
                    for gate in parameter.data.chunk(gates[type(module)]):
                        fill(gate)
                if isinstance(module, nn.LSTM) and name.startswith("bias_ih"):
                    nn.init.ones_(parameter.data[module.hidden_size : 2 * module.hidden_size])
        elif isinstance(module, nn.Linear):
            fill(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():  # last, since an output matrix may be an embedding
        if isinstance(module, nn.Embedding) and module not in spared:
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)


def pretrained(model: nn.Module) -> list[PretrainedFrontend]:
    """The parts of a model that came trained."""
    return [module for module in model.modules() if isinstance(module, PretrainedFrontend)]


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019); biases and other vectors do not decay.

    What came trained is in groups of its own, marked ``pretrained``; it takes part from the start even if it is to be
    frozen for a while, so that the optimiser's state always has the same form.
    """
    bodies = pretrained(model)
    came = {id(parameter) for body in bodies for parameter in body.parameters()}
    own = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in came]
    theirs = [parameter for body in bodies for parameter in body.parameters()] if config.encoder_lr else []
    groups = [
        {"params": [parameter for parameter in parameters if (parameter.dim() > 1) == decays], **settings, **rate}
        for parameters, rate in ((own, {"pretrained": False}), (theirs, {"pretrained": True}))
        for decays, settings in ((True, {}), (False, {"weight_decay": 0.0}))
        if parameters
    ]
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def set_learning_rates(
    model: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig, update: int, total: int, num_lr_drops: int
) -> None:
    """Give each of the optimiser's groups its rate for an update, and freeze what came trained while it has none.

    Gradual unfreezing (Howard & Ruder 2018): the decoder learns for ``unfreeze_at`` updates to read what the encoder
    returns, and then the encoder's rate rises from zero over as many again, so that nothing it knows is shaken off.
    """
    rate = learning_rate(config, update, total, num_lr_drops)
    thawed = update - config.unfreeze_at
    warmth = min(1.0, (thawed + 1) / config.unfreeze_at) if config.unfreeze_at else 1.0
    body_rate = rate * config.encoder_lr / config.lr * warmth if thawed >= 0 else 0.0
    for body in pretrained(model):
        body.freeze(body_rate == 0.0)
    for group in optimizer.param_groups:
        group["lr"] = body_rate if group["pretrained"] else rate


def learning_rate(config: TrainConfig, update: int, total: int, num_lr_drops: int) -> float:
    """The rate of an update, counted from 0; ``total`` updates are planned; ``num_lr_drops``: plateaus met so far."""
    warmth = min(1.0, (update + 1) / config.warmup) if config.warmup else 1.0
    match config.schedule:
        case "plateau":
            factor = config.plateau_factor**num_lr_drops
        case "cosine":
            past = max(0, update - config.warmup) / max(1, total - config.warmup)
            factor = 0.5 * (1 + math.cos(math.pi * min(1.0, past)))
        case "inverse_sqrt":
            factor = math.sqrt(max(1, config.warmup) / max(update + 1, config.warmup, 1))
        case "constant":
            factor = 1.0
    return config.lr * warmth * factor


def teacher_forcing_probability(config: TrainConfig, update: int) -> float:
    """The share of true tokens read in an update: the three schedules of Bengio et al. 2015.

    They meet in a half after ``sampling_half`` updates: linear 1 - i / 2h; exponential k^i with k^h = 1/2; inverse
    sigmoid k / (k + exp(i / k)) with k ln k = h.
    """
    half = config.sampling_half
    match config.scheduled_sampling:
        case "none":
            return 1.0
        case "linear":
            share = 1 - update / (2 * half)
        case "exponential":
            share = 0.5 ** (update / half)
        case "inverse_sigmoid":
            k = half
            for _ in range(50):  # Newton's method for k ln k = h
                k = (k + half) / (math.log(k) + 1) if k > 1 else 1.0 + half
            share = k / (k + math.exp(min(update / k, 700.0)))
    return max(config.sampling_floor, share)
