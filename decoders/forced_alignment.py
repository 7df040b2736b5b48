"""The most probable path of known sentences through the states of the memory (Viterbi alignment).

For CTC, of which the states are frames, and for attention, whose weights say which states a token was read from.
"""

import torch
from jaxtyping import Bool, Float, Int, Shaped
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
    skips = (states != PAD) & (states != shift(states, 2, PAD))

    score = torch.full_like(emissions[:, 0], NEG_INF)
    score[:, :2] = emissions[:, 0, :2]
    steps = []  # for each frame and state: how many states the path moved to come there
    for frame in range(1, num_frames):
        moves = torch.stack([shift(score, by, NEG_INF) for by in range(3)])
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


def shift(values: Shaped[Tensor, "batch states"], by: int, value: int | float) -> Shaped[Tensor, "batch states"]:
    """Move the values of each row to the right, and put ``value`` before them; there may be fewer than ``by``."""
    return functional.pad(values, (by, 0), value=value)[:, : values.size(1)]


def align_attention(
    weights: Float[Tensor, "batch positions source"],
    groups: Int[Tensor, "batch positions"],
    mask: Bool[Tensor, "batch source"],
) -> Int[Tensor, "batch groups 2"]:
    """Return the states that groups of tokens attend to, in their order and without an overlap.

    Attention may be blurred, jump back, or rest where nothing is read, as on a pause, so the largest weights alone are
    no alignment. The mean weights of a group's tokens are the distribution of the state that is read for it. A state of
    none has been read as by chance, with the same probability everywhere. So the best path is that of CTC, with groups
    as labels and chance as the blank: a state belongs to a group if that attends to it more than evenly.

    Args:
        weights: Attention weights of each token.
        groups: The number of its group; -1 for none.
        mask: The real states.

    Returns:
        See ``Decoder.state_spans``.
    """
    num_groups = count_groups(groups)
    is_member = (groups[:, None] == torch.arange(num_groups, device=groups.device)[:, None]).to(weights.dtype)
    mean = (is_member @ weights) / is_member.sum(dim=2, keepdim=True).clamp(min=1)  # (batch, groups, source)
    chance = mask / mask.sum(dim=1, keepdim=True)
    emissions = torch.cat([chance[:, None], mean], dim=1).float().clamp(min=torch.finfo(torch.float32).tiny).log()
    labels = torch.arange(1, num_groups + 1, device=groups.device).expand(len(groups), -1)  # 0, or PAD, is the blank
    lengths = groups.amax(dim=1) + 1
    return spans_of(align_labels(emissions.transpose(1, 2), mask, labels, lengths))


def count_groups(groups: Int[Tensor, "batch positions"]) -> int:
    """Return the number of groups of the sentence that has most of them."""
    return int(groups.max()) + 1 if groups.numel() else 0


def join_groups(
    is_aligned: Bool[Tensor, "batch target source"], groups: Int[Tensor, "batch target"]
) -> Bool[Tensor, "batch groups source"]:
    """Return the states of each group of tokens, given those of its tokens."""
    is_member = groups[:, None] == torch.arange(count_groups(groups), device=groups.device)[:, None]
    return (is_member.float() @ is_aligned.float()) > 0


def spans_of(is_aligned: Bool[Tensor, "batch target source"]) -> Int[Tensor, "batch target 2"]:
    """Return the first of the states of each row, and the one after the last; -1 for a row without any."""
    place = torch.arange(1, is_aligned.size(2) + 1, device=is_aligned.device)
    last = (is_aligned * place).amax(dim=2)
    first = is_aligned.size(2) - (is_aligned * place.flip(0)).amax(dim=2)
    return torch.where(last[..., None] > 0, torch.stack([first, last], dim=-1), -1)
