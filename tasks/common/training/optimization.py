"""The optimizer, and the learning rates of its parameter groups."""

import torch
from torch import nn

from encoders.pretrained.base import PretrainedFrontend
from tasks.common.training.config import TrainConfig
from tasks.common.training.schedules import freezing_length, learning_rate


def pretrained_modules(model: nn.Module) -> list[PretrainedFrontend]:
    """List the pretrained parts of a model."""
    return [module for module in model.modules() if isinstance(module, PretrainedFrontend)]


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build AdamW (Loshchilov & Hutter 2019), without weight decay for biases and other vectors.

    The parameters of pretrained modules are in groups of their own, marked ``pretrained``. They take part from the
    start even if they are to stay frozen for a while, so that the state of the optimizer always has the same form.
    """
    frontends = pretrained_modules(model)
    pretrained_ids = {id(parameter) for frontend in frontends for parameter in frontend.parameters()}
    scratch = [
        parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in pretrained_ids
    ]
    fine_tuned = [parameter for frontend in frontends for parameter in frontend.parameters()]
    groups = [
        {
            "params": [parameter for parameter in parameters if (parameter.dim() > 1) == decays],
            "pretrained": is_pretrained,
            **({} if decays else {"weight_decay": 0.0}),
        }
        for parameters, is_pretrained in ((scratch, False), (fine_tuned if config.encoder_lr else [], True))
        for decays in (True, False)
        if parameters
    ]
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def set_learning_rates(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    step: int,
    num_steps: int,
    num_lr_drops: int,
) -> None:
    """Set the learning rate of each parameter group for a step, and freeze pretrained modules while theirs is zero.

    Gradual unfreezing (Howard & Ruder 2018): for ``freezing_length`` steps only the rest of the model is trained; then
    the learning rate of the pretrained encoder rises from zero over as many steps again, so that it forgets nothing.

    Args:
        model: The model, whose pretrained modules are frozen or not.
        optimizer: An optimizer of ``build_optimizer``.
        config: The training settings.
        step: The step, counted from 0.
        num_steps: The number of planned steps (0: not yet planned).
        num_lr_drops: The number of plateaus so far.
    """
    rate = learning_rate(config, step, num_steps, num_lr_drops)
    num_frozen = freezing_length(config, num_steps)
    thawed = step - num_frozen
    warmup = min(1.0, (thawed + 1) / num_frozen) if num_frozen else 1.0
    encoder_rate = rate * config.encoder_lr / config.lr * warmup if thawed >= 0 else 0.0
    for frontend in pretrained_modules(model):
        frontend.set_frozen(encoder_rate == 0.0)
    for group in optimizer.param_groups:
        group["lr"] = encoder_rate if group["pretrained"] else rate
