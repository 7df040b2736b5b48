"""The most probable path of known sentences through the frames of CTC (Viterbi alignment)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from decoders.base import NEG_INF, PAD


def align_labels(
    log_probs: Float[Tensor, "batch source vocab"],
    mask: Bool[Tensor, "batch source"],
    labels: Int[Tensor, "batch target"],
    lengths: Int[Tensor, " batch"],
) -> Bool[Tensor, "batch target source"]:
    """Return the frames that emit each label on the sentence's best path, for all sentences at once.

    A path goes through the labels with blanks before, between and after them; only between equal labels a blank is
    necessary. Without any frame are padding, and all labels of a sentence that is too long for its frames.

    Args:
        log_probs: Log-probabilities of each frame; the blank is PAD.
        mask: The real frames.
        labels: Sentences without BOS and EOS, padded.
        lengths: Their numbers of labels.
    """
    num_frames = log_probs.size(1)
    # Blanks are the even states of a path, labels the odd ones.
    states = functional.pad(torch.stack([torch.full_like(labels, PAD), labels], dim=-1).flatten(1), (0, 1), value=PAD)
    emissions = log_probs.gather(2, states[:, None].expand(-1, num_frames, -1))
    skips = (states != PAD) & (states != functional.pad(states, (2, -2), value=PAD))

    score = torch.full_like(emissions[:, 0], NEG_INF)
    score[:, :2] = emissions[:, 0, :2]
    steps = []  # for each frame and state: how many states the path moved to come there
    for frame in range(1, num_frames):
        moves = torch.stack([functional.pad(score, (by, -by), value=NEG_INF) for by in range(3)])
        moves[2].masked_fill_(~skips, NEG_INF)
        best, step = moves.max(dim=0)
        is_real = mask[:, frame, None]  # padding keeps the state
        score = torch.where(is_real, best + emissions[:, frame], score)
        steps.append(step.masked_fill(~is_real, 0))

    ends = (2 * lengths[:, None] - torch.arange(2, device=lengths.device)).clamp(min=0)  # the last blank, or label
    end_score, choice = score.gather(1, ends).max(dim=1)
    path = [ends.gather(1, choice[:, None])]
    for step in reversed(steps):
        path.append(path[-1] - step.gather(1, path[-1]))
    state = torch.cat(path[::-1], dim=1)  # (batch, source)
    emits = (state % 2 == 1) & mask & (end_score > NEG_INF)[:, None]
    position = torch.arange(labels.size(1), device=labels.device)
    return (state[:, None] // 2 == position[:, None]) & emits[:, None]
