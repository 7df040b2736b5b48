"""A transducer's lattice: the sum over all paths, the probability of each step, and the best path (Graves 2012)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

BLANK, LABEL = 0, 1  # the entries of a cell


class PathSum(torch.autograd.Function):
    """Log-probability of all paths. Its gradient is computed with it, by the same pass over the lattice."""

    @staticmethod
    def forward(
        ctx: Any,
        lattice: Float[Tensor, "batch source positions 2"],
        num_frames: Int[Tensor, " batch"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, " batch"]:
        total, posteriors = forward_backward(lattice, num_frames, lengths)
        ctx.save_for_backward(posteriors)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (posteriors,) = ctx.saved_tensors
        return gradients[0][:, None, None, None] * posteriors, None, None


def path_log_probs(
    lattice: Float[Tensor, "batch source positions 2"],
    num_frames: Int[Tensor, " batch"],
    lengths: Int[Tensor, " batch"],
) -> Float[Tensor, " batch"]:
    """Return the log of the sum over all paths through each lattice's first ``num_frames`` and ``lengths`` + 1.

    Args:
        lattice: Log-probabilities of the blank and of the next label, at each frame and each number of labels. They
            are finite; those of padding do not matter, and have no gradient.
        num_frames: The frames of each sentence, at least one.
        lengths: Its labels.
    """
    return PathSum.apply(lattice, num_frames, lengths)  # type: ignore[return-value]


def forward_backward(
    lattice: Float[Tensor, "batch source positions 2"],
    num_frames: Int[Tensor, " batch"],
    lengths: Int[Tensor, " batch"],
) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch source positions 2"]]:
    """Return the log-probability of all paths, and for each step, blank or label, the probability that a path takes it.

    A path from the end of the lattice to its beginning is a path through the lattice turned around, so that the sums of
    both directions are one batch.
    """
    _, source, positions, _ = lattice.shape
    frame, label = (torch.arange(size, device=lattice.device) for size in (source, positions))
    from_end = (num_frames[:, None] - 1 - frame).clamp(min=0), (lengths[:, None] - label).clamp(min=0)
    turn = from_end[0][:, :, None] * positions + from_end[1][:, None]  # its own inverse within a sentence

    def turn_around(values: Tensor) -> Tensor:
        return values.flatten(1, 2).gather(1, turn.flatten(1)).view_as(values)

    blank, emission = lattice.double().unbind(dim=-1)
    # Before a cell, forward: its neighbor's own step. In the lattice turned around: the step of the cell itself.
    steps = [
        torch.cat([functional.pad(blank, (0, 0, 1, -1)), turn_around(blank)]),
        torch.cat([functional.pad(emission, (1, -1)), turn_around(emission)]),
    ]
    before, after = sum_paths(*steps).chunk(2)
    last = torch.arange(len(lattice), device=lattice.device), num_frames - 1, lengths
    total = before[last] + blank[last]
    after = turn_around(after) + blank[last][:, None, None]  # the log-probability of what follows a cell

    is_real = (frame < num_frames[:, None])[:, :, None] & (label <= lengths[:, None])[:, None]
    after = after.masked_fill(~is_real, float("-inf"))
    # Behind the last frame there is only the end, which is reached with all labels.
    after_blank = functional.pad(after[:, 1:], (0, 0, 0, 1), value=float("-inf"))
    after_blank[last] = 0.0
    after_label = functional.pad(after[:, :, 1:], (0, 1), value=float("-inf"))
    following = torch.stack([after_blank, after_label], dim=-1)
    posteriors = (before[..., None] + lattice + following - total[:, None, None, None]).exp()
    return total.to(lattice.dtype), posteriors.to(lattice.dtype)


def sum_paths(
    blank: Float[Tensor, "batch source positions"], label: Float[Tensor, "batch source positions"]
) -> Float[Tensor, "batch source positions"]:
    """Return the log of the sum over all paths from the first cell to each.

    A column is computed at once. With c_t the sum of the blanks up to frame t, a(t, u) = c_t + log of the sum over all
    frames s ≤ t of exp(a(s, u - 1) + label(s, u) - c_s): a path enters the column at s and goes on by blanks. These
    differences need float64.

    Args:
        blank: Log-probability of the step into each cell from the frame before; the first frame's are not used.
        label: Log-probability of the step into each cell from the label before; the first position's are not used.
    """
    along = functional.pad(blank[:, 1:], (0, 0, 1, 0)).cumsum(dim=1)
    columns = [along[..., 0]]
    for position in range(1, blank.size(2)):
        entries = columns[-1] + label[..., position] - along[..., position]
        columns.append(entries.logcumsumexp(dim=1) + along[..., position])
    return torch.stack(columns, dim=-1)


def best_path(
    lattice: Float[Tensor, "batch source positions 2"],
    num_frames: Int[Tensor, " batch"],
    lengths: Int[Tensor, " batch"],
) -> Int[Tensor, "batch positions-1"]:
    """Return the frame at which the most probable path emits each label; -1 for padding. The arguments are as above.

    As in ``sum_paths`` a column is computed at once, with the maximum over the frames in place of the sum.
    """
    blank, label = lattice.double().unbind(dim=-1)
    along = functional.pad(blank[:, :-1], (0, 0, 1, 0)).cumsum(dim=1)  # of the blanks before each frame
    column, entered = along[..., 0], []
    for position in range(1, blank.size(2)):
        best, frame = (column + label[..., position - 1] - along[..., position]).cummax(dim=1)
        column = best + along[..., position]
        entered.append(frame)  # at which the best path to each frame came into the column
    current = num_frames[:, None] - 1
    emitted = [torch.full_like(current, -1)] * len(entered)
    for position in reversed(range(len(entered))):
        is_real = position < lengths[:, None]
        current = torch.where(is_real, entered[position].gather(1, current), current)
        emitted[position] = torch.where(is_real, current, -1)
    return torch.cat(emitted, dim=1) if emitted else current[:, :0]
