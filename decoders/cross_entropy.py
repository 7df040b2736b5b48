"""The cross-entropy of known tokens, forward and backward in the memory of their logits."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Numbers that are processed together: on a CPU as many as stay in its cache from one operation to the next.
CPU_CHUNK_SIZE = 2**18
CHUNK_SIZE = 2**26


def token_log_probs(
    logits: Float[Tensor, "real vocab"], targets: Int[Tensor, " real"], label_smoothing: float = 0.0
) -> tuple[Float[Tensor, " real"], Float[Tensor, " real"]]:
    """Return the log-probability of each target, plain without a gradient, and label-smoothed with one.

    The smoothed one is mixed with the mean over the vocabulary (Szegedy et al. 2016); without label smoothing both are
    the same.

    Autograd would keep the log-probabilities of the whole vocabulary, their copy for each operation on them and a
    gradient of the same size, which are the largest tensors of a training step. Here the memory of the logits becomes
    that of the log-probabilities, and then that of their gradient; so ``logits`` must not be used again.

    Args:
        logits: Unnormalized log-probabilities in float32, computed for this call: they are overwritten.
        targets: Tokens.
        label_smoothing: The share of the mean.
    """
    return _TokenLogProbs.apply(logits, targets, label_smoothing)


def chunks(values: Float[Tensor, "real vocab"]) -> tuple[Tensor, ...]:
    """Divide rows into views of a size that is processed quickly."""
    size = CPU_CHUNK_SIZE if values.device.type == "cpu" else CHUNK_SIZE
    return values.split(max(1, size // values.size(1)))


class _TokenLogProbs(torch.autograd.Function):
    """See :func:`token_log_probs`."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, label_smoothing: float) -> tuple[Tensor, Tensor]:
        means = []
        for chunk in chunks(logits):
            chunk.copy_(chunk.log_softmax(dim=1))
            if label_smoothing:
                means.append(chunk.mean(dim=1))
        plain = logits.gather(1, targets[:, None]).squeeze(1)
        smoothed = torch.lerp(plain, torch.cat(means), label_smoothing) if means else plain.clone()
        ctx.vocab_log_probs, ctx.label_smoothing = logits, label_smoothing
        ctx.save_for_backward(targets)
        ctx.mark_non_differentiable(plain)
        return plain, smoothed

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        _, grad = grad_outputs
        (targets,) = ctx.saved_tensors
        gradient, smoothing = ctx.vocab_log_probs, ctx.label_smoothing
        if gradient is None:
            raise RuntimeError("the log-probabilities were overwritten by their gradient; no second time is possible")
        ctx.vocab_log_probs = None
        start = 0
        for chunk in chunks(gradient):  # d/dx of (1 - s) log p_target + s mean(log p), without the target's own 1 - s
            weights = grad[start : start + len(chunk), None]
            chunk.exp_().sub_(smoothing / gradient.size(1)).mul_(-weights)
            start += len(chunk)
        gradient.scatter_add_(1, targets[:, None], (1 - smoothing) * grad[:, None])
        return gradient, None, None
