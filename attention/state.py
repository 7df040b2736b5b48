"""The state of attention between two decoding steps, and the log-probabilities of hard attention's samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class AttentionState:
    """All that the next attention step of each hypothesis depends on, of leading shape (batch, queries).

    Content-based attention depends on query and keys only, and its state is empty. Local-m attention, whose window is
    centered on source position t at step t, needs the step number. Attention that depends on earlier weights, called
    sequential here (location-sensitive, coverage, monotonic), needs these, too.

    Attributes:
        step: The number of steps so far.
        weights: For sequential attention, the weights of the last step and the cumulative weights of all steps, stacked
            along a dimension of size 2; zero before the first step. Multi-head attention has a dimension for heads.
    """

    step: Int[Tensor, "rows queries"] | None = None
    weights: Float[Tensor, "rows queries *heads 2 source"] | None = None

    @property
    def last_weights(self) -> Float[Tensor, "rows queries *heads source"]:
        """The weights of the last step."""
        assert self.weights is not None, "only sequential attention keeps weights"
        return self.weights[..., 0, :]

    @property
    def total_weights(self) -> Float[Tensor, "rows queries *heads source"]:
        """The cumulative weights of all steps."""
        assert self.weights is not None, "only sequential attention keeps weights"
        return self.weights[..., 1, :]

    def map(self, function: Callable[..., Tensor], *others: "AttentionState") -> "AttentionState":
        """Apply ``function`` to each tensor of this state and the same tensors of ``others``."""
        if self.step is None:
            return self
        step = function(self.step, *(other.step for other in others))
        if self.weights is None:
            return AttentionState(step)
        return AttentionState(step, function(self.weights, *(other.weights for other in others)))

    def reorder(self, indices: Int[Tensor, " new_rows"]) -> "AttentionState":
        """Return the state of the given hypotheses."""
        return self.map(lambda part: part[indices])

    def where(self, mask: Bool[Tensor, " rows"], other: "AttentionState") -> "AttentionState":
        """Return this state in the rows where ``mask`` is True, and ``other`` in the rest."""
        return self.map(lambda mine, theirs: torch.where(mask.view(-1, *[1] * (mine.dim() - 1)), mine, theirs), other)

    def expand_steps(self, num_steps: int) -> "AttentionState":
        """Return the states of the next ``num_steps`` steps; only for states without weights."""
        assert self.weights is None, "the weights of later steps are not known in advance"
        return self.map(lambda step: step + torch.arange(num_steps, device=step.device))

    def last_query(self) -> "AttentionState":
        """Return the state of the last query."""
        return self.map(lambda part: part[:, -1:])


@dataclass(frozen=True)
class SampleInfo:
    """Log-probabilities and entropies of sampled source positions, for REINFORCE (attention/hard.py)."""

    log_prob: Float[Tensor, "batch queries"]  # of the sampled positions
    entropy: Float[Tensor, "batch queries"]  # of the distributions they were sampled from

    @classmethod
    def cat(cls, parts: "Sequence[SampleInfo | None]") -> "SampleInfo | None":
        """Concatenate the samples of consecutive steps; None if nothing was sampled."""
        return cls.combine(parts, lambda tensors: torch.cat(tensors, dim=1))

    @classmethod
    def sum(cls, parts: "Sequence[SampleInfo | None]") -> "SampleInfo | None":
        """Add up independent samples of the same steps (heads, layers); None if nothing was sampled."""
        return cls.combine(parts, lambda tensors: torch.stack(tensors).sum(dim=0))

    @classmethod
    def combine(
        cls, parts: "Sequence[SampleInfo | None]", function: Callable[[list[Tensor]], Tensor]
    ) -> "SampleInfo | None":
        """Apply ``function`` to all log-probabilities, and to all entropies."""
        sampled = [part for part in parts if part is not None]
        if not sampled:
            return None
        return cls(function([part.log_prob for part in sampled]), function([part.entropy for part in sampled]))
