"""Schedules: the learning rate and the share of teacher forcing at each step."""

import math

from tasks.common.training.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, num_steps: int, num_lr_drops: int, seconds: float) -> float:
    """Compute the learning rate of a step.

    Args:
        config: The training settings.
        step: The step, counted from 0.
        num_steps: The number of planned steps.
        num_lr_drops: The number of plateaus so far.
        seconds: The time of training so far.
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    match config.schedule:
        case "plateau":
            factor = config.plateau_factor**num_lr_drops
        case "cosine":
            done = max(0, step - config.warmup_steps) / max(1, num_steps - config.warmup_steps)
            if config.max_minutes:  # whichever limit is nearer ends training
                done = max(done, seconds / (config.max_minutes * 60))
            factor = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        case "inverse_sqrt":
            factor = math.sqrt(max(1, config.warmup_steps) / max(step + 1, config.warmup_steps, 1))
        case "constant":
            factor = 1.0
    return config.lr * warmup * factor


def teacher_forcing_probability(config: TrainConfig, step: int) -> float:
    """Compute the share of reference tokens among the decoder's inputs: the schedules of Bengio et al. 2015.

    All of them reach one half after ``sampling_half`` = h steps: linear 1 - i / 2h; exponential k^i with k^h = 1/2;
    inverse sigmoid k / (k + exp(i / k)) with k ln k = h.
    """
    half = config.sampling_half
    match config.scheduled_sampling:
        case "none":
            return 1.0
        case "linear":
            share = 1 - step / (2 * half)
        case "exponential":
            share = 0.5 ** (step / half)
        case "inverse_sigmoid":
            k = half
            for _ in range(50):  # Newton's method for k ln k = h
                k = (k + half) / (math.log(k) + 1) if k > 1 else 1.0 + half
            share = k / (k + math.exp(min(step / k, 700.0)))
    return max(config.sampling_floor, share)
