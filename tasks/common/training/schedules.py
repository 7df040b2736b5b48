"""Schedules: the learning rate and the share of teacher forcing at each step."""

import math

from tasks.common.training.config import TrainConfig


def warmup_length(config: TrainConfig, num_steps: int) -> int:
    """Return the steps of the warm-up, of ``num_steps`` planned ones (0: not yet planned)."""
    return at_most_a_tenth(config.warmup_steps, num_steps)


def freezing_length(config: TrainConfig, num_steps: int) -> int:
    """Return the steps before a fine-tuned encoder is trained too, of ``num_steps`` planned ones (0: not yet planned).

    Its learning rate then rises over as many.
    """
    return at_most_a_tenth(config.unfreeze_at, num_steps) if config.encoder_lr else 0


def at_most_a_tenth(length: int, num_steps: int) -> int:
    """Limit the steps of a beginning to a tenth of all, so that a short training does not end in it."""
    return min(length, num_steps // 10) if num_steps else length


def learning_rate(config: TrainConfig, step: int, num_steps: int, num_lr_drops: int) -> float:
    """Compute the learning rate of a step.

    Args:
        config: The training settings.
        step: The step, counted from 0.
        num_steps: The number of planned steps (0: not yet planned).
        num_lr_drops: The number of plateaus so far.
    """
    num_warmup = warmup_length(config, num_steps)
    warmup = min(1.0, (step + 1) / num_warmup) if num_warmup else 1.0
    match config.schedule:
        case "plateau":
            factor = config.plateau_factor**num_lr_drops
        case "cosine":
            done = max(0, step - num_warmup) / max(1, num_steps - num_warmup) if num_steps else 0.0
            factor = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        case "inverse_sqrt":
            factor = math.sqrt(max(1, num_warmup) / max(step + 1, num_warmup, 1))
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
